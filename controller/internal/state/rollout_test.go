package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/logpb"
)

const bake = 10 * minute

// pushOf is a push of a bundle with one rule for each word, "full" or "full=2" for another rule of that name.
func pushOf(base uint64, rules string, mods ...func(*logpb.PushBundle)) *logpb.PushBundle {
	c := &logpb.PushBundle{Name: "base", By: "kim", Share: 100_000, Bake: bake, Base: base,
		Files: []*logpb.BundleFile{{Name: "a.hcl", Text: rules}}}
	for _, word := range strings.Fields(rules) {
		name, _, _ := strings.Cut(word, "=")
		c.Rules = append(c.Rules, &logpb.BundleRule{Name: name, Digest: []byte(word)})
	}
	for _, m := range mods {
		m(c)
	}
	return c
}

func share(ppm uint32) func(*logpb.PushBundle) { return func(c *logpb.PushBundle) { c.Share = ppm } }

func labels(list ...string) func(*logpb.PushBundle) {
	return func(c *logpb.PushBundle) {
		for _, l := range list {
			name, value, _ := strings.Cut(l, "=")
			c.Labels = append(c.Labels, &logpb.Label{Name: name, Value: value})
		}
	}
}

func (r *rig) pushes(base uint64, rules string, mods ...func(*logpb.PushBundle)) string {
	r.t.Helper()
	return r.must(command(pushOf(base, rules, mods...))).GetId()
}

func (r *rig) rollsBack(version uint64) *logpb.Result {
	r.t.Helper()
	return r.apply(command(&logpb.RollbackBundle{Name: "base", Version: version, By: "kim", Reason: "noise"}))
}

// runs is what an agent says that has taken over what it is told; mods may change it.
func (r *rig) runs(host string, mods ...func(*logpb.HostBundle)) {
	r.t.Helper()
	c := &logpb.ReportBundles{Host: host, Epoch: r.s.Host(host).GetEpoch()}
	for _, o := range r.s.StandingOrders(host).GetBundles() {
		hb := &logpb.HostBundle{Name: o.GetName(), Wanted: o.GetDigest(), Running: o.GetDigest()}
		for _, m := range mods {
			m(hb)
		}
		c.Bundles = append(c.Bundles, hb)
	}
	r.must(command(c))
}

func refuses(hb *logpb.HostBundle) { hb.Running, hb.Error, hb.Refused = nil, "a.hcl:1:1: no", true }
func cannot(hb *logpb.HostBundle)  { hb.Running, hb.Error = nil, "no space left on device" }

// have expects which version each host is told to run: "web-1=2", for those that have any.
func (r *rig) have(want ...string) {
	r.t.Helper()
	var got []string
	for _, h := range r.s.Hosts() {
		for _, o := range r.s.StandingOrders(h.GetId()).GetBundles() {
			got = append(got, fmt.Sprintf("%s=%d", h.GetId(), o.GetVersion()))
		}
	}
	if diff := cmp.Diff(want, got, equateEmpty()); diff != "" {
		r.t.Errorf("the hosts have (-want +got):\n%s", diff)
	}
}

// stands expects where the rollout is.
func (r *rig) stands(phase logpb.RolloutPhase, reason string) {
	r.t.Helper()
	got := r.s.Bundle("base").GetRollout()
	if got.GetPhase() != phase || !strings.Contains(got.GetReason(), reason) {
		r.t.Errorf("the rollout is %v, want %v because of %q", got, phase, reason)
	}
}

func (r *rig) canary() string { r.t.Helper(); return r.s.Bundle("base").GetRollout().GetCanaries()[0] }

func newWebs(t *testing.T, n int) *rig {
	r := newRig(t)
	for i := range n {
		host := fmt.Sprintf("web-%d", i+1)
		r.labels[host] = []*logpb.Label{{Name: "role", Value: "web"}, {Name: "zone", Value: string('a' + rune(i%2))}}
		r.joins("checkout", nil, host)
	}
	return r
}

// A version goes to its canary, from there to all after the bake time that begins once it runs, and the next one the
// same way; a rollback has the version before everywhere, and then none.
func TestRollout(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 3)
	if id := r.pushes(0, "full"); id != "base@1" {
		t.Errorf("the push is %s", id)
	}
	c := r.canary()
	r.have(c + "=1")
	r.later(5 * minute)
	r.runs(c)
	r.later(bake - 1)
	r.stands(phaseCanary, "")
	r.later(1)
	r.stands(phaseAll, "no false alarm on its canaries for 10m0s")
	r.have("web-1=1", "web-2=1", "web-3=1")
	r.joins("checkout", nil, "web-4")
	r.have("web-1=1", "web-2=1", "web-3=1", "web-4=1")

	r.pushes(1, "full=2", share(wholeShare/2))
	if n := len(r.s.Bundle("base").GetRollout().GetCanaries()); n != 2 {
		t.Errorf("%d canaries of 4 hosts, half of them wanted", n)
	}
	for _, c := range r.s.Bundle("base").GetRollout().GetCanaries() {
		r.runs(c)
	}
	r.later(bake)
	r.have("web-1=2", "web-2=2", "web-3=2", "web-4=2")

	r.code("version", r.rollsBack(1))
	r.must(command(&logpb.RollbackBundle{Name: "base", Version: 2, By: "kim", Reason: "noise"}))
	r.have("web-1=1", "web-2=1", "web-3=1", "web-4=1")
	r.stands(phaseRolledBack, "noise")
	r.code("version", r.rollsBack(2)) // the same again, whose answer was lost, leaves no other one
	r.pushes(2, "full=3")
	r.code("version", r.rollsBack(1))
	r.rollsBack(3)
	r.have("web-1=1", "web-2=1", "web-3=1", "web-4=1")
	r.rollsBack(1)
	r.have()
	r.code("version", r.rollsBack(0))
	r.code("bundle", r.apply(command(&logpb.RollbackBundle{Name: "other", Version: 1, By: "kim"})))
}

// A version that was left is not one that another rollback comes back to.
func TestRollbackPassesOverWhatWasLeft(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 1)
	for n, rules := range []string{"a", "b", "c"} {
		r.pushes(uint64(n), rules)
		r.runs("web-1")
		r.later(bake)
		if n == 1 {
			r.rollsBack(2)
		}
	}
	r.have("web-1=3")
	r.rollsBack(3)
	r.have("web-1=1")
}

// What speaks against a version halts it: its canaries have the former one again, and people hear of it. What says
// nothing about it does not.
func TestFalseAlarm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		what func(r *rig, canary, other string)
		why  string // "": it goes on
	}{
		"over by itself": {func(r *rig, c, _ string) { r.clears(c, r.fires(c, "checkout", "slow"), false) },
			"false alarm: slow on %s is over by itself"},
		"a rule that is new":      {func(r *rig, c, _ string) { r.clears(c, r.fires(c, "checkout", "new"), false) }, "new on %s"},
		"blind":                   {func(r *rig, c, _ string) { r.fires(c, "checkout", "slow", blind) }, "slow on %s fires blind"},
		"a remedy helped":         {func(r *rig, c, _ string) { r.clears(c, r.fires(c, "checkout", "slow"), true) }, ""},
		"it still fires":          {func(r *rig, c, _ string) { r.fires(c, "checkout", "slow") }, ""},
		"a rule that is the same": {func(r *rig, c, _ string) { r.clears(c, r.fires(c, "checkout", "same"), false) }, ""},
		"a rule of the host":      {func(r *rig, c, _ string) { r.clears(c, r.fires(c, "checkout", "own"), false) }, ""},
		"on another host":         {func(r *rig, _, o string) { r.clears(o, r.fires(o, "checkout", "slow"), false) }, ""},
		"a person had it": {func(r *rig, c, _ string) {
			n := r.fires(c, "checkout", "slow")
			r.acks(r.incident("checkout"), false)
			r.clears(c, n, false)
		}, ""},
		"another alert of it was healed": {func(r *rig, c, _ string) {
			n, m := r.fires(c, "checkout", "slow"), r.fires(c, "checkout", "down")
			r.clears(c, m, true)
			r.clears(c, n, false)
		}, ""},
		"refused":           {func(r *rig, c, _ string) { r.runs(c, refuses) }, "%s refuses it: a.hcl:1:1: no"},
		"refused elsewhere": {func(r *rig, _, o string) { r.runs(o, refuses) }, ""},
		"no space":          {func(r *rig, c, _ string) { r.runs(c, cannot) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newWebs(t, 2)
			r.pushes(0, "slow same", share(wholeShare))
			r.runs("web-1")
			r.runs("web-2")
			r.later(bake)
			old := r.fires("web-1", "checkout", "slow") // of the version before, and over during the trial
			r.later(minute)
			r.pushes(1, "slow=2 same new", share(1))
			canary := r.canary()
			other := map[string]string{"web-1": "web-2", "web-2": "web-1"}[canary]
			r.runs(canary)
			r.clears("web-1", old, false)
			r.courier()
			c.what(r, canary, other)
			if c.why == "" {
				r.stands(phaseCanary, "")
				r.have(canary+"=2", other+"=1")
				return
			}
			r.stands(phaseHalted, fmt.Sprintf(c.why, canary))
			r.have("web-1=1", "web-2=1")
			if all := strings.Join(r.courier(), "\n"); !strings.Contains(all, "reminder rules-base@2/halted slack.ops") {
				t.Errorf("people are told %q", all)
			}
			r.warns("the rollout of the rules base@2 is halted")
			r.later(day)
			r.have("web-1=1", "web-2=1")
			r.pushes(2, "slow=3 same") // and the next one may be tried
		})
	}
}

// A canary that is lost does not hold a version up for ever, and never lets it pass alone.
func TestLostCanaries(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 3)
	r.pushes(0, "full", share(wholeShare*6/10))
	first, second := r.canary(), r.s.Bundle("base").GetRollout().GetCanaries()[1]
	r.runs(first)
	r.later(bake)
	r.stands(phaseCanary, "") // the second is there, and does not run it
	r.lose(second, true)
	r.later(1)
	r.stands(phaseAll, "")

	r.pushes(1, "full=2", share(wholeShare))
	for _, h := range r.s.Hosts() {
		r.lose(h.GetId(), true)
	}
	r.later(bake + canaryPatience - 1)
	r.stands(phaseCanary, "")
	r.later(1)
	r.stands(phaseHalted, "it is not known to run on web-1, web-2, web-3")
	r.pushes(2, "full=3") // nobody is there: any of them
	r.lose("web-1", false)
	r.pushesRefused("canary", pushOf(3, "full=4"))
	r.rollsBack(3)
	r.pushes(3, "full=4")
	if c := r.canary(); c != "web-1" {
		t.Errorf("the canary is %s, and only web-1 can be reached", c)
	}
	r.must(command(&logpb.RemoveHost{Host: "web-1", By: "kim", Gone: true}))
	r.later(bake + canaryPatience)
	r.stands(phaseHalted, "it is not known to run on web-1")
}

// A canary that is lost while it tries a version may be lost by it, whatever the others say.
func TestCanaryLostWithIt(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"for ever": false, "and comes back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newWebs(t, 3)
			r.pushes(0, "full", share(wholeShare))
			for _, h := range r.s.Hosts() {
				r.runs(h.GetId())
			}
			r.later(minute)
			r.lose("web-2", true)
			r.later(bake + canaryPatience - 2*minute)
			r.stands(phaseCanary, "")
			if back {
				r.lose("web-2", false)
				r.later(minute)
				r.stands(phaseAll, "")
				return
			}
			r.later(minute)
			r.stands(phaseHalted, "it is not known to run on web-2")
		})
	}
}

// A canary that comes late has its bake time, and may be lost for a moment in it.
func TestLateCanary(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 2)
	r.pushes(0, "full")
	c := r.canary()
	r.later(bake + canaryPatience - minute)
	r.runs(c)
	r.later(2 * minute)
	r.lose(c, true)
	r.later(minute)
	r.stands(phaseCanary, "")
	r.lose(c, false)
	r.later(bake)
	r.stands(phaseAll, "")
}

// A canary that comes back when its time is over tells first what happened meanwhile.
func TestCanaryTellsFirst(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 2)
	r.pushes(0, "slow")
	c := r.canary()
	r.runs(c)
	r.lose(c, true)
	r.later(bake + minute)
	r.stands(phaseCanary, "")
	r.lose(c, false)
	r.later(minute - second)
	r.stands(phaseCanary, "")
	r.clears(c, r.fires(c, "checkout", "slow"), false)
	r.stands(phaseHalted, "false alarm")

	r.pushes(1, "slow=2")
	c = r.canary()
	r.runs(c)
	r.lose(c, true)
	r.later(bake)
	r.lose(c, false)
	r.later(minute)
	r.stands(phaseAll, "")
}

// An alert that does not end holds a version up until somebody has taken it, and halts it if nobody does.
func TestAlarmWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then  func(r *rig, canary string, n uint64)
		phase logpb.RolloutPhase
		why   string
	}{
		"for ever":        {func(*rig, string, uint64) {}, phaseHalted, "slow fires on"},
		"a person has it": {func(r *rig, _ string, _ uint64) { r.acks(r.incident("checkout"), false) }, phaseAll, ""},
		"a remedy helped": {func(r *rig, c string, n uint64) { r.clears(c, n, true) }, phaseAll, ""},
		"it was false":    {func(r *rig, c string, n uint64) { r.clears(c, n, false) }, phaseHalted, "is over by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newWebs(t, 2)
			r.pushes(0, "slow")
			canary := r.canary()
			r.runs(canary)
			n := r.fires(canary, "checkout", "slow")
			r.later(bake + canaryPatience - minute)
			r.stands(phaseCanary, "")
			c.then(r, canary, n)
			r.later(2 * minute)
			r.stands(c.phase, c.why)
		})
	}
}

func (r *rig) pushesRefused(code string, c *logpb.PushBundle) {
	r.t.Helper()
	r.code(code, r.apply(command(c)))
}

// Labels say which hosts get a version: other hosts never, and no longer those that the next one leaves out.
func TestBundleLabels(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 4)
	r.joins("postgres", nil, "db-1")
	r.pushes(0, "full", labels("role=web"))
	r.runs(r.canary())
	r.later(bake)
	r.have("web-1=1", "web-2=1", "web-3=1", "web-4=1")
	r.pushes(1, "full=2", labels("zone=a", "role=web"))
	if c := r.canary(); c != "web-1" && c != "web-3" {
		t.Errorf("%s is tried on, and is in another zone", c)
	}
	r.runs(r.canary())
	r.later(bake)
	r.have("web-1=2", "web-3=2")
	same := pushOf(2, "full=3")
	same.SameLabels = true
	r.must(command(same))
	r.labels[r.canary()] = nil // it comes back as another host
	r.joins("checkout", nil, r.canary())
	r.later(bake + canaryPatience)
	r.stands(phaseHalted, "not known to run on")
	r.pushesRefused("hosts", pushOf(3, "full", labels("role=nobody")))
}

// The same push again is the same version; one that was made on another basis is refused.
func TestPushTwice(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 2)
	first := r.pushes(0, "full")
	if again := r.pushes(0, "full"); again != first || len(r.s.Bundle("base").GetVersions()) != 1 {
		t.Errorf("the same push makes %s and then %s", first, again)
	}
	r.pushesRefused("base", pushOf(0, "full=2"))
	r.pushesRefused("canary", pushOf(1, "full=2"))
	r.runs(r.canary())
	r.later(bake)
	if again := r.pushes(1, "full"); again != first {
		t.Errorf("what all have is pushed again as %s", again)
	}
	if wider := r.pushes(1, "full", labels("role=web")); wider != "base@2" {
		t.Errorf("other labels are %s", wider)
	}
}

func TestPushRefused(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 2)
	for code, mod := range map[string]func(*logpb.PushBundle){
		"who":    func(c *logpb.PushBundle) { c.By = "" },
		"share":  func(c *logpb.PushBundle) { c.Share = wholeShare + 1 },
		"bake":   func(c *logpb.PushBundle) { c.Bake = 0 },
		"bundle": func(c *logpb.PushBundle) { c.Name = "No" },
	} {
		r.pushesRefused(code, pushOf(0, "full", mod))
	}
	r.pushesRefused("share", pushOf(0, "full", share(0)))
	r.pushesRefused("bake", pushOf(0, "full", func(c *logpb.PushBundle) { c.Bake = maxBake + 1 }))
	r.pushesRefused("bundle", pushOf(0, strings.Repeat("x", bundle.MaxSize+1)))
	r.pushesRefused("bundle", pushOf(0, "full", func(c *logpb.PushBundle) { c.Files = nil }))
	for n := range bundle.MaxBundles {
		r.pushes(0, "full", func(c *logpb.PushBundle) { c.Name = fmt.Sprint("b", n) })
	}
	r.pushesRefused("many", pushOf(0, "full"))
	r.must(command(&logpb.RollbackBundle{Name: "b3", Version: 1, By: "kim"}))
	r.pushes(0, "full")
	if r.s.Bundle("b3") != nil {
		t.Error("the bundle that no host has was kept instead of the new one")
	}
	r.code("epoch", r.apply(command(&logpb.ReportBundles{Host: "web-1", Epoch: 99})))
}

// What is kept of a bundle is bounded, and never without what a rollback leads to.
func TestVersionsKept(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 1)
	large := strings.Repeat("x", bundle.MaxSize-100)
	for n := range uint64(30) {
		text := fmt.Sprint("full=", n, " ", large[:len(large)*int(n%2)])
		r.pushes(n, text, func(c *logpb.PushBundle) { c.Rules = nil })
		if n%3 == 0 {
			r.runs("web-1")
			r.later(bake)
		} else {
			r.rollsBack(n + 1)
		}
		b, size := r.s.Bundle("base"), 0
		for _, v := range b.GetVersions() {
			size += sizeOf(v)
		}
		if len(b.GetVersions()) > keepVersions || size > keepVersionBytes+bundle.MaxSize {
			t.Fatalf("%d versions of %d bytes are kept", len(b.GetVersions()), size)
		}
		if n >= 3 && (Former(b) == 0 || Version(b, Former(b)) == nil) {
			t.Fatalf("after %d pushes there is nothing to come back to", n+1)
		}
	}
}

// One version too many costs the oldest one, and not all of them.
func TestOldestVersionGoes(t *testing.T) {
	t.Parallel()
	r := newWebs(t, 1)
	for n := range uint64(keepVersions + 1) {
		r.pushes(n, fmt.Sprint("full=", n))
		r.runs("web-1")
		r.later(bake)
	}
	if all := r.s.Bundle("base").GetVersions(); len(all) != keepVersions || all[0].GetN() != 2 {
		t.Errorf("%d versions are kept, the oldest is %d", len(all), all[0].GetN())
	}
}

// TestCanariesAreFew: whatever happens, no more hosts than the share have a version that was not tried, none without
// its labels, and none after a false alarm; and a rollback reaches what all had before.
func TestCanariesAreFew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := newWebs(t, rapid.IntRange(1, 7).Draw(rt, "hosts"))
		r.quick = true
		n := uint64(0)
		proved := []uint64{0} // what all have had, in order, without what was left
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			b := r.s.Bundle("base")
			host := fmt.Sprintf("web-%d", rapid.IntRange(1, len(r.s.Hosts())).Draw(rt, "host"))
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				c := pushOf(n, fmt.Sprint("slow=", n), share(uint32(rapid.IntRange(1, wholeShare).Draw(rt, "share"))))
				if r.apply(command(c)).GetRefusal() == nil {
					n++
					hosts, most := len(r.s.Hosts()), len(r.s.Bundle("base").GetRollout().GetCanaries())
					if most > 1 && uint64(most-1)*wholeShare >= uint64(hosts)*uint64(c.GetShare()) || most == 0 {
						rt.Fatalf("%d canaries of %d hosts, the share is %d", most, hosts, c.GetShare())
					}
				}
			case 1:
				r.runs(host)
			case 2:
				r.clears(host, r.fires(host, "checkout", "slow"), false)
				if b.GetRollout().GetPhase() == phaseCanary && slices.Contains(b.GetRollout().GetCanaries(), host) {
					rt.Fatalf("after a false alarm on %s it goes on", host)
				}
			case 3:
				r.lose(host, rapid.Bool().Draw(rt, "lost"))
			case 4:
				r.later(rapid.Int64Range(1, 2*bake).Draw(rt, "passes"))
			case 5:
				was, left := b.GetCurrent(), onItsWay(b)
				if r.rollsBack(left).GetRefusal() != nil {
					continue
				}
				if left == was {
					proved = proved[:len(proved)-1]
				}
				if now := r.s.Bundle("base").GetCurrent(); now != proved[len(proved)-1] {
					rt.Fatalf("%d is left for %d, and all had %v before", left, now, proved)
				}
			}
			b = r.s.Bundle("base")
			if now := b.GetCurrent(); now != proved[len(proved)-1] {
				if b.GetRollout().GetPhase() != phaseAll || now != b.GetRollout().GetVersion() {
					rt.Fatalf("all have %d, and nothing says why: %v", now, b.GetRollout())
				}
				proved = append(proved, now)
			}
			for _, h := range r.s.Hosts() {
				v := Wanted(b, h).GetN()
				tries := b.GetRollout().GetPhase() == phaseCanary && slices.Contains(b.GetRollout().GetCanaries(), h.GetId())
				if v != b.GetCurrent() && !(tries && v == b.GetRollout().GetVersion()) {
					rt.Fatalf("%s has %d: %v", h.GetId(), v, b.GetRollout())
				}
			}
		}
		sound(rt, r.s)
	})
}
