package adminapi_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

const busyRule = "rule \"busy\" {\n  when = host.cpu.busy > 90 * percent\n}\n"

func push(text string) *adminpb.PushBundleRequest {
	return &adminpb.PushBundleRequest{Name: "base", By: "ann", Share: 1, Bake: int64(time.Minute),
		Files: []*logpb.BundleFile{{Name: "a.hcl", Text: text}}}
}

// What a client has not checked is checked here: nothing of it comes into the log.
func TestPushIsChecked(t *testing.T) {
	r := newRig(t)
	for text, change := range map[string]func(*adminpb.PushBundleRequest){
		`bundle base/a.hcl:4:1: error: Not here; The block "remedy"`: func(c *adminpb.PushBundleRequest) {
			c.Files[0].Text += `remedy "exec" "x" {}`
		},
		"a bundle without files": func(c *adminpb.PushBundleRequest) { c.Files = nil },
		`"../a.hcl" is no name`:  func(c *adminpb.PushBundleRequest) { c.Files[0].Name = "../a.hcl" },
		"a bundle has at most":   func(c *adminpb.PushBundleRequest) { c.Files[0].Text += strings.Repeat(" ", bundle.MaxSize) },
		`"No" is no name`:        func(c *adminpb.PushBundleRequest) { c.Name = "No" },
		"who asks is missing":    func(c *adminpb.PushBundleRequest) { c.By = "" },
		"in the order of their names": func(c *adminpb.PushBundleRequest) {
			c.Labels = []*logpb.Label{{Name: "zone", Value: "a"}, {Name: "role", Value: "b"}}
		},
		"name of a label is missing": func(c *adminpb.PushBundleRequest) { c.Labels = []*logpb.Label{{}} },
	} {
		before, c := r.index(), push(busyRule)
		change(c)
		_, err := r.PushBundle(r.ctx, c)
		wants(t, err, codes.InvalidArgument, "", text)
		if r.index() != before {
			t.Errorf("%s: it came into the log", text)
		}
	}
	c := push(busyRule)
	c.Share = 0
	_, err := r.PushBundle(r.ctx, c)
	wants(t, err, codes.FailedPrecondition, "share", "more than nothing")
}

// A pushed version can be looked at, without its texts in listings, and left.
func TestBundles(t *testing.T) {
	r := newRig(t)
	none := must[*adminpb.GetBundleResponse](t)(r.GetBundle(r.ctx, &adminpb.GetBundleRequest{Name: "base"}))
	if none.GetVersion() != nil || none.GetNewest() != 0 {
		t.Errorf("before the first push there is %v", none)
	}
	pushed := must[*adminpb.PushBundleResponse](t)(r.PushBundle(r.ctx, push(busyRule)))
	b := pushed.GetBundle()
	if v := b.GetVersions()[0]; v.GetFiles()[0].GetText() != "" || v.GetRules()[0].GetName() != "busy" || len(pushed.GetNames()) != 1 {
		t.Errorf("pushed: %v", pushed)
	}
	canary := b.GetRollout().GetCanaries()[0]
	list := must[*adminpb.ListBundlesResponse](t)(r.ListBundles(r.ctx, &adminpb.ListBundlesRequest{Name: "base"}))
	hosts := list.GetBundles()[0].GetHosts()
	if len(hosts) != 1 || hosts[0].GetHost() != canary || hosts[0].GetState() != "waits" || !hosts[0].GetCanary() || hosts[0].GetVersion() != 1 {
		t.Errorf("the hosts are %v", hosts)
	}
	got := must[*adminpb.GetBundleResponse](t)(r.GetBundle(r.ctx, &adminpb.GetBundleRequest{Name: "base", Version: 1}))
	if got.GetVersion().GetFiles()[0].GetText() != busyRule || got.GetNewest() != 1 {
		t.Errorf("version 1 is %v", got)
	}
	_, err := r.GetBundle(r.ctx, &adminpb.GetBundleRequest{Name: "base", Version: 2})
	wants(t, err, codes.NotFound, "", "is not kept")
	_, err = r.ListBundles(r.ctx, &adminpb.ListBundlesRequest{Name: "other"})
	wants(t, err, codes.NotFound, "", `no bundle "other"`)
	_, err = r.RollbackBundle(r.ctx, &adminpb.RollbackBundleRequest{Name: "base", Version: 2, By: "ann", Reason: "noise"})
	wants(t, err, codes.FailedPrecondition, "version", "it is 1")
	_, err = r.RollbackBundle(r.ctx, &adminpb.RollbackBundleRequest{Name: "base", Version: 1, By: "ann"})
	wants(t, err, codes.InvalidArgument, "", "reason is missing")
	left := must[*adminpb.RollbackBundleResponse](t)(r.RollbackBundle(r.ctx,
		&adminpb.RollbackBundleRequest{Name: "base", Version: 1, By: "ann", Reason: "noise"}))
	if left.GetBundle().GetRollout().GetPhase() != logpb.RolloutPhase_ROLLOUT_PHASE_ROLLED_BACK {
		t.Errorf("left: %v", left)
	}
}
