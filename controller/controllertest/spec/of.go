package spec

import (
	"strings"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Of is the table of a state that was restored: from there on the rules are asked again.
func Of(s *state.State) *Table {
	t := New()
	t.Generation, t.digest, t.FleetMax = s.Generation(), string(s.Config().GetDigest()), s.Config().GetFleetMax()
	snapshot := s.Snapshot()
	t.Epoch, t.Token = snapshot.GetCounters().GetEpoch(), snapshot.GetCounters().GetToken()
	for _, c := range s.Config().GetServices() {
		t.Services[c.GetName()] = c
	}
	for _, h := range s.Hosts() {
		t.Hosts[h.GetId()] = hostOf(h)
	}
	for _, p := range s.Permits() {
		t.Permits[tokenOf(p.GetToken())] = permitOf(p)
	}
	for _, p := range s.Pauses() {
		t.Pauses[p.GetId()] = Pause{Scope: p.GetScope(), Until: p.GetUntil(), Generation: p.GetGeneration(),
			Window: p.GetWindow()}
	}
	for _, w := range s.Widths("") {
		t.Widths[Remedy{w.GetService(), w.GetRule(), string(w.GetDigest())}] = Width{w.GetWidth(),
			strings.Join(w.GetFailed(), " "), w.GetUsed()}
	}
	t.Look(s)
	return t
}

func hostOf(h *logpb.Host) *Host {
	out := &Host{Fingerprint: h.GetFingerprint(), Stranger: h.GetStranger(), Boot: h.GetBootId(), Nonce: h.GetNonce(),
		Stream: h.GetStream(), Epoch: h.GetEpoch(), Mark: h.GetMark(), LastN: h.GetLastN(), Last: tokenOf(h.GetLastToken()),
		Lost: h.GetLost(), Awaited: h.GetAwaited(), Removed: h.GetRemoved(), Quarantined: h.GetQuarantined() != "",
		Services: map[string]Service{}}
	for _, s := range h.GetServices() {
		out.Services[s.GetService()] = Service{s.GetServing(), s.GetSole(), s.GetWithdrawn()}
	}
	return out
}

func permitOf(p *logpb.Permit) *Permit {
	return &Permit{Host: p.GetHost(), Epoch: p.GetEpoch(), Service: p.GetService(), Rule: p.GetRule(),
		Digest:  string(p.GetDigest()),
		Targets: sortTargets(targetsOf(p.GetTargets())), Undo: p.GetUndo(), Unknown: p.GetUnknown(), AsDown: p.GetAsDown(),
		Revoke: p.GetRevoked() != ""}
}
