package state

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// The way of a version to the hosts:
//
//	push ─► canary ─┬─ every canary that is there has run it for the bake time ─► all
//	                ├─ a false alarm, a refusal, or not well in time ───────────► halted
//	                └─ a person ────────────────────────────────────────────────► rolled back ◄─ a person ─ all
//
// Halted and rolled back, the hosts have the version before. A false alarm is an alert of a rule that the version adds or
// changes, on a canary, that nobody can know the truth of (blind), or that is over though nothing was done about it.

const (
	phaseCanary     = logpb.RolloutPhase_ROLLOUT_PHASE_CANARY
	phaseAll        = logpb.RolloutPhase_ROLLOUT_PHASE_ALL
	phaseHalted     = logpb.RolloutPhase_ROLLOUT_PHASE_HALTED
	phaseRolledBack = logpb.RolloutPhase_ROLLOUT_PHASE_ROLLED_BACK
)

// canaryPatience is how long after the bake time a version may still not run on a canary, or an alert of it fire there,
// before it is halted.
const canaryPatience = hour

// canaryTelling is how long a canary that is heard again has for telling what happened meanwhile; no longer than the bake
// time.
const canaryTelling = 60e9

// canaries are the hosts that try a version first: those that can be reached, then by a hash, so that it is not always
// the same ones. A share of the hosts, rounded up.
func (s *State) canaries(v *logpb.BundleVersion, share uint32) []string {
	var ids []string
	rank := map[string][]byte{}
	for _, h := range s.Hosts() {
		if h.GetRemoved() || h.GetQuarantined() != "" || !labelled(h, v) {
			continue
		}
		first := byte(1)
		if reachable(h) {
			first = 0
		}
		sum := sha256.Sum256(append(slices.Clone(v.GetDigest()), h.GetId()...))
		rank[h.GetId()] = append([]byte{first}, sum[:]...)
		ids = append(ids, h.GetId())
	}
	slices.SortFunc(ids, func(a, b string) int { return bytes.Compare(rank[a], rank[b]) })
	n := (uint64(len(ids))*uint64(share) + wholeShare - 1) / wholeShare
	ids = ids[:n]
	slices.Sort(ids)
	return ids
}

// labelled reports whether a host is one of those that a version is for.
func labelled(h *logpb.Host, v *logpb.BundleVersion) bool {
	for _, want := range v.GetLabels() {
		if !slices.ContainsFunc(h.GetLabels(), func(l *logpb.Label) bool {
			return l.GetName() == want.GetName() && l.GetValue() == want.GetValue()
		}) {
			return false
		}
	}
	return true
}

// Wanted is the version of a bundle that a host has to run, nil: none.
func Wanted(b *logpb.Bundle, h *logpb.Host) *logpb.BundleVersion {
	if r := b.GetRollout(); r.GetPhase() == phaseCanary && slices.Contains(r.GetCanaries(), h.GetId()) {
		if v := Version(b, r.GetVersion()); labelled(h, v) {
			return v
		}
	}
	if v := Version(b, b.GetCurrent()); v != nil && labelled(h, v) {
		return v
	}
	return nil
}

// HostBundle is what a host says of a bundle, nil: nothing.
func HostBundle(h *logpb.Host, name string) *logpb.HostBundle {
	for _, hb := range h.GetBundles() {
		if hb.GetName() == name {
			return hb
		}
	}
	return nil
}

// bundlesOf are the orders of a host.
func (s *State) bundlesOf(h *logpb.Host) []*agentpb.BundleOrder {
	var out []*agentpb.BundleOrder
	for _, b := range s.Bundles() {
		if v := Wanted(b, h); v != nil {
			out = append(out, &agentpb.BundleOrder{Name: b.GetName(), Version: v.GetN(), Digest: bytes.Clone(v.GetDigest())})
		}
	}
	return out
}

// rerule changes a bundle and binds the hosts that have another version afterwards.
func (s *State) rerule(b *logpb.Bundle, change func()) {
	before := map[string]*logpb.BundleVersion{}
	for id, h := range s.hosts {
		before[id] = Wanted(b, h)
	}
	change()
	for id, h := range s.hosts {
		if Wanted(b, h) != before[id] && !h.GetRemoved() {
			s.bindHost(id)
		}
	}
}

// enterPhase moves a rollout on.
func (s *State) enterPhase(b *logpb.Bundle, phase logpb.RolloutPhase, by, reason string) {
	r := b.GetRollout()
	r.Phase, r.Since, r.By, r.Reason = phase, s.now(), by, reason
}

// trial is when the canaries of a version have tried it for long enough, or by when they have to, with why it is halted then.
// Canaries that nobody hears are not waited for as long as another one tries it, but for those that were lost with it:
// that may be its work.
func (s *State) trial(b *logpb.Bundle) (end int64, why string) {
	r := b.GetRollout()
	v := Version(b, r.GetVersion())
	begun, told, tried, waits := r.GetSince(), int64(0), false, false
	var missing []string
	for _, id := range r.GetCanaries() {
		h := s.hosts[id]
		hb := HostBundle(h, b.GetName())
		here, has := reachable(h) && labelled(h, v), bytes.Equal(hb.GetRunning(), v.GetDigest())
		if has {
			begun = max(begun, hb.GetSince())
		}
		if has && here {
			tried, told = true, max(told, plus(h.GetChanged(), min(canaryTelling, r.GetBake())))
			continue
		}
		waits = waits || here || has
		missing = append(missing, id)
	}
	if !tried || waits {
		return plus(plus(begun, r.GetBake()), canaryPatience), "it is not known to run on " + join(s.names(missing))
	}
	end = max(plus(begun, r.GetBake()), told)
	if end > s.now() {
		return end, ""
	}
	if a := s.firesOn(b); a != nil {
		return plus(end, canaryPatience), fmt.Sprintf("%s fires on %s, and nobody has acknowledged it", subject(a),
			s.name(a.GetKey().GetHost()))
	}
	return end, ""
}

// firesOn is an alert of the version on its canaries that has begun there and that nobody has to do with, nil if there is
// none: one that never ends is no better than a false one.
func (s *State) firesOn(b *logpb.Bundle) *logpb.Alert {
	for _, id := range b.GetRollout().GetCanaries() {
		for _, a := range sorted(s.derived.live[id], compareKeys) {
			if a.GetResolved() == 0 && a.GetMuted() == "" && s.incidents[a.GetIncident()].GetAckBy() == "" && suspects(b, a) {
				return a
			}
		}
	}
	return nil
}

// suspects reports whether an alert is one of the version on its canaries, and has begun there.
func suspects(b *logpb.Bundle, a *logpb.Alert) bool {
	r := b.GetRollout()
	return r.GetPhase() == phaseCanary && a.GetFired() >= r.GetSince() &&
		slices.Contains(r.GetCanaries(), a.GetKey().GetHost()) && changes(b, a.GetRule())
}

// reachable reports whether a host can be expected to take orders.
func reachable(h *logpb.Host) bool {
	return h != nil && !h.GetRemoved() && !h.GetLost() && !h.GetAwaited() && h.GetQuarantined() == ""
}

// roll moves the rollouts on whose time has come.
func (s *State) roll() {
	for _, b := range s.Bundles() {
		if b.GetRollout().GetPhase() != phaseCanary {
			continue
		}
		switch end, why := s.trial(b); {
		case end > s.now():
		case why != "":
			s.halt(b, why)
		default:
			s.promote(b)
		}
	}
}

// rolls is when roll would do something, 0 if by time it would do nothing.
func (s *State) rolls() (due int64) {
	for _, b := range s.bundles {
		if b.GetRollout().GetPhase() == phaseCanary {
			end, _ := s.trial(b)
			due = sooner(due, end)
		}
	}
	return due
}

// promote brings a version from its canaries to all.
func (s *State) promote(b *logpb.Bundle) {
	r := b.GetRollout()
	s.rerule(b, func() {
		b.Current = r.GetVersion()
		Version(b, r.GetVersion()).Proved = true
		s.enterPhase(b, phaseAll, "controller", fmt.Sprintf("no false alarm on its canaries for %v", asDuration(r.GetBake())))
	})
	s.noteSelf("rules", "%s goes to all its hosts: %s", VersionText(b, r.GetVersion()), r.GetReason())
}

// halt takes a version back from its canaries, and tells people.
func (s *State) halt(b *logpb.Bundle, why string) {
	r := b.GetRollout()
	s.rerule(b, func() { s.enterPhase(b, phaseHalted, "controller", clip(why, maxText)) })
	text := fmt.Sprintf("the rollout of the rules %s is halted, and its canaries go back to %s: %s",
		VersionText(b, r.GetVersion()), VersionText(b, b.GetCurrent()), r.GetReason())
	s.noteSelf("rules", "%s", text)
	s.announce(fmt.Sprintf("rules-%s/halted", VersionText(b, r.GetVersion())), text)
}

// mistrust halts the versions that an alert speaks against.
func (s *State) mistrust(a *logpb.Alert, how string) {
	for _, b := range s.Bundles() {
		if suspects(b, a) {
			s.halt(b, fmt.Sprintf("false alarm: %s on %s %s", subject(a), s.name(a.GetKey().GetHost()), how))
		}
	}
}

// changes reports whether the version on its canaries adds or changes a rule.
func changes(b *logpb.Bundle, rule string) bool {
	was := ruleDigest(Version(b, b.GetCurrent()), rule)
	now := ruleDigest(Version(b, b.GetRollout().GetVersion()), rule)
	return now != nil && !bytes.Equal(was, now)
}

func ruleDigest(v *logpb.BundleVersion, rule string) []byte {
	for _, r := range v.GetRules() {
		if r.GetName() == rule {
			return r.GetDigest()
		}
	}
	return nil
}

// reportBundles takes over what a host says of its bundles. One that a canary refuses is halted.
func (s *State) reportBundles(c *logpb.ReportBundles) *logpb.Result {
	h := s.hosts[c.GetHost()]
	if h == nil || h.GetRemoved() || c.GetEpoch() != h.GetEpoch() {
		return refuse("epoch", "this is not the session of the host that counts")
	}
	said := map[string]*logpb.HostBundle{}
	for _, r := range c.GetBundles() {
		if s.bundles[r.GetName()] != nil {
			said[r.GetName()] = s.heard(h, r)
		}
	}
	h.Bundles = sorted(said, compare)
	for _, hb := range h.GetBundles() {
		b := s.bundles[hb.GetName()]
		r := b.GetRollout()
		if hb.GetRefused() && r.GetPhase() == phaseCanary && slices.Contains(r.GetCanaries(), h.GetId()) &&
			bytes.Equal(hb.GetWanted(), Version(b, r.GetVersion()).GetDigest()) {
			s.halt(b, fmt.Sprintf("%s refuses it: %s", s.name(h.GetId()), hb.GetError()))
		}
	}
	return done()
}

// heard is what is taken over of a report on one bundle.
func (s *State) heard(h *logpb.Host, r *logpb.HostBundle) *logpb.HostBundle {
	hb := &logpb.HostBundle{
		Name: r.GetName(), Wanted: r.GetWanted(), Running: r.GetRunning(), Error: clip(r.GetError(), maxText), Refused: r.GetRefused(),
		Shadowed: clipAll(r.GetShadowed(), maxName), Absent: clipAll(r.GetAbsent(), maxName), Since: s.now(),
	}
	if old := HostBundle(h, hb.GetName()); bytes.Equal(old.GetRunning(), hb.GetRunning()) && len(hb.GetRunning()) > 0 {
		hb.Since = old.GetSince()
	}
	return hb
}
