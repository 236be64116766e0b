package adminapi

import (
	"bytes"
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// How a host stands to a bundle.
const (
	bundleRuns    = "runs"
	bundleWaits   = "waits"
	bundleRefuses = "refuses"
)

// PushBundle implements adminpb.AdminServer. What the client has checked is checked again, but for the tests: they are
// for whoever wrote the rules.
func (s *Server) PushBundle(ctx context.Context, r *adminpb.PushBundleRequest) (*adminpb.PushBundleResponse, error) {
	who, err := by(r.GetBy())
	labels, errLabels := bundleLabels(r)
	rules, errRules := bundleRules(r)
	if err := first(err, bundleName(r.GetName()), errLabels, errRules); err != nil {
		return nil, err
	}
	_, at, err := s.propose(ctx, &logpb.Command{What: &logpb.Command_PushBundle{PushBundle: &logpb.PushBundle{
		Name: r.GetName(), Files: r.GetFiles(), Rules: rules, Labels: labels, SameLabels: r.GetSameLabels(), Share: r.GetShare(),
		Bake: r.GetBake(), By: who, Base: r.GetBase(),
	}}})
	if err != nil {
		return nil, err
	}
	out := &adminpb.PushBundleResponse{At: at}
	s.at(func(st *state.State) {
		out.Bundle = outline(st.Bundle(r.GetName()))
		out.Names = names(st, out.GetBundle().GetRollout().GetCanaries()...)
	})
	return out, nil
}

func bundleName(s string) error {
	if err := bundle.CheckName(s); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// bundleLabels are the conditions on hosts, in the order of their names.
func bundleLabels(r *adminpb.PushBundleRequest) ([]*logpb.Label, error) {
	if len(r.GetLabels()) > maxMatchers {
		return nil, invalid("%d labels, and %d are the most", len(r.GetLabels()), maxMatchers)
	}
	for i, l := range r.GetLabels() {
		_, err := name("name of a label", l.GetName())
		_, errValue := text("value of "+l.GetName(), l.GetValue(), maxName)
		if err := first(err, errValue); err != nil {
			return nil, err
		}
		if i > 0 && r.GetLabels()[i-1].GetName() >= l.GetName() {
			return nil, invalid("the label %s: labels are in the order of their names, each once", l.GetName())
		}
	}
	return r.GetLabels(), nil
}

// bundleRules are the rules that the files hold, or every problem of theirs with its place.
func bundleRules(r *adminpb.PushBundleRequest) ([]*logpb.BundleRule, error) {
	rules, diags := config.CheckBundle(&config.Bundle{Name: r.GetName(), Files: state.Files(r.GetFiles())})
	if diags.HasErrors() {
		var lines []string
		for _, d := range diags {
			lines = append(lines, config.Line(d))
		}
		return nil, invalid("%s", strings.Join(lines, "\n"))
	}
	out := make([]*logpb.BundleRule, len(rules))
	for i, rule := range rules {
		out[i] = &logpb.BundleRule{Name: rule.Name, Digest: rule.Digest[:]}
	}
	return out, nil
}

// outline is a copy of a bundle without the texts of its files.
func outline(b *logpb.Bundle) *logpb.Bundle {
	if b == nil {
		return nil
	}
	out := &logpb.Bundle{Name: b.GetName(), Current: b.GetCurrent(), Rollout: proto.CloneOf(b.GetRollout())}
	for _, v := range b.GetVersions() {
		short := &logpb.BundleVersion{N: v.GetN(), Digest: bytes.Clone(v.GetDigest()), Rules: copies(v.GetRules()),
			Labels: copies(v.GetLabels()), By: v.GetBy(), At: v.GetAt(), Proved: v.GetProved()}
		for _, f := range v.GetFiles() {
			short.Files = append(short.Files, &logpb.BundleFile{Name: f.GetName()})
		}
		out.Versions = append(out.Versions, short)
	}
	return out
}

// RollbackBundle implements adminpb.AdminServer.
func (s *Server) RollbackBundle(
	ctx context.Context, r *adminpb.RollbackBundleRequest,
) (*adminpb.RollbackBundleResponse, error) {
	who, err := by(r.GetBy())
	why, errWhy := because(r.GetReason())
	if err := first(err, errWhy, bundleName(r.GetName())); err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_RollbackBundle{RollbackBundle: &logpb.RollbackBundle{
		Name: r.GetName(), Version: r.GetVersion(), By: who, Reason: why,
	}}})
	if err != nil {
		return nil, err
	}
	out := &adminpb.RollbackBundleResponse{At: at}
	s.at(func(st *state.State) { out.Bundle = outline(st.Bundle(r.GetName())) })
	return out, nil
}

// ListBundles implements adminpb.AdminServer.
func (s *Server) ListBundles(ctx context.Context, r *adminpb.ListBundlesRequest) (*adminpb.ListBundlesResponse, error) {
	out := &adminpb.ListBundlesResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		var ids []string
		for _, b := range st.Bundles() {
			if r.GetName() != "" && r.GetName() != b.GetName() {
				continue
			}
			status := &adminpb.BundleStatus{Bundle: outline(b)}
			for _, h := range st.Hosts() {
				if one := bundleHost(b, h); one != nil {
					status.Hosts = append(status.Hosts, one)
					ids = append(ids, h.GetId())
				}
			}
			out.Bundles = append(out.Bundles, status)
		}
		out.Names = names(st, ids...)
	})
	switch {
	case err != nil:
		return nil, err
	case r.GetName() != "" && len(out.GetBundles()) == 0:
		return nil, notFound("there is no bundle %q", r.GetName())
	}
	return out, nil
}

// bundleHost is how a host stands to a bundle, nil if it has nothing to do with it.
func bundleHost(b *logpb.Bundle, h *logpb.Host) *adminpb.BundleHost {
	want, said := state.Wanted(b, h), state.HostBundle(h, b.GetName())
	if want == nil || h.GetRemoved() {
		return nil
	}
	r := b.GetRollout()
	out := &adminpb.BundleHost{
		Host: h.GetId(), Version: want.GetN(), State: bundleWaits, Lost: h.GetLost(),
		Canary:   r.GetPhase() == logpb.RolloutPhase_ROLLOUT_PHASE_CANARY && want.GetN() == r.GetVersion(),
		Shadowed: said.GetShadowed(), Absent: said.GetAbsent(),
	}
	for _, v := range b.GetVersions() {
		if bytes.Equal(v.GetDigest(), said.GetRunning()) {
			out.Running = v.GetN()
		}
	}
	told := bytes.Equal(said.GetWanted(), want.GetDigest())
	if told {
		out.Reason = said.GetError()
	}
	switch {
	case bytes.Equal(said.GetRunning(), want.GetDigest()):
		out.State, out.Running = bundleRuns, want.GetN()
	case told && said.GetRefused():
		out.State = bundleRefuses
	}
	return out
}

// GetBundle implements adminpb.AdminServer.
func (s *Server) GetBundle(ctx context.Context, r *adminpb.GetBundleRequest) (*adminpb.GetBundleResponse, error) {
	if err := bundleName(r.GetName()); err != nil {
		return nil, err
	}
	out := &adminpb.GetBundleResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		b := st.Bundle(r.GetName())
		n := r.GetVersion()
		if n == 0 {
			n = b.GetCurrent()
		}
		out.Version = proto.CloneOf(state.Version(b, n))
		if all := b.GetVersions(); len(all) > 0 {
			out.Newest = all[len(all)-1].GetN()
		}
	})
	switch {
	case err != nil:
		return nil, err
	case r.GetVersion() != 0 && out.GetVersion() == nil:
		return nil, notFound("version %d of the bundle %q is not kept", r.GetVersion(), r.GetName())
	}
	return out, nil
}
