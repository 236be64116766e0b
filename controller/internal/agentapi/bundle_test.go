package agentapi

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

func bundlesOf(a *agent, bundles ...*logpb.HostBundle) *agentpb.ConnectRequest {
	return &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Bundles{Bundles: &logpb.ReportBundles{Host: a.host, Epoch: a.epoch,
		Bundles: bundles}}}
}

// A host hears which version it has to run and gets that one and no other; what it says comes into the log, once.
func TestBundle(t *testing.T) {
	t.Parallel()
	r := inMemory(t).lead()
	agents := map[string]*agent{"h1": r.joined("h1"), "h2": r.joined("h2")}
	line := agentpb.NewLineClient(r.client)
	r.must(&logpb.Command{What: &logpb.Command_PushBundle{PushBundle: &logpb.PushBundle{Name: "base", By: "ann", Share: 1, Bake: 1e12,
		Files: []*logpb.BundleFile{{Name: "a.hcl", Text: "text"}}}}})
	var canary string
	r.journal.View(func(s *state.State) { canary = s.Bundle("base").GetRollout().GetCanaries()[0] })
	other := map[string]string{"h1": "h2", "h2": "h1"}[canary]
	a := agents[canary]
	for a.next().GetStanding().GetBundles() == nil {
	}
	var order *agentpb.BundleOrder
	r.journal.View(func(s *state.State) { order = s.StandingOrders(canary).GetBundles()[0] })
	got, err := line.Bundle(t.Context(), &agentpb.BundleRequest{Host: canary, Name: "base", Digest: order.GetDigest()})
	if err != nil || len(got.GetFiles()) != 1 || got.GetFiles()[0].GetText() != "text" {
		t.Errorf("the canary gets %v, %v", got, err)
	}
	for name, ask := range map[string]*agentpb.BundleRequest{
		"a host that has none": {Host: other, Name: "base", Digest: order.GetDigest()},
		"another content":      {Host: canary, Name: "base", Digest: []byte("x")},
		"another bundle":       {Host: canary, Name: "other", Digest: order.GetDigest()},
		"nobody":               {Host: "h9", Name: "base", Digest: order.GetDigest()},
	} {
		if _, err := line.Bundle(t.Context(), ask); !hasCode(err, codes.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var index uint64
	for range 2 { // the second time it is known
		a.say(bundlesOf(a, &logpb.HostBundle{Name: "base", Wanted: order.GetDigest(), Running: order.GetDigest()}))
		a.sayPing() // answered after it
		for a.said().GetPong() == nil {
		}
		r.journal.View(func(s *state.State) {
			if hb := state.HostBundle(s.Host(canary), "base"); string(hb.GetRunning()) != string(order.GetDigest()) {
				t.Errorf("the log has %v", hb)
			}
			if index != 0 && s.Index() != index {
				t.Error("what is known comes into the log again")
			}
			index = s.Index()
		})
	}
	a.say(bundlesOf(a, make([]*logpb.HostBundle, 9)...))
	if last := a.last(); last != "InvalidArgument" {
		t.Errorf("too many bundles end the session with %q", last)
	}
}
