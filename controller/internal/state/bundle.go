package state

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/logpb"
)

// A bundle is a set of rules that hosts get from here. What its files say is for hosts to judge; here they are texts with
// a digest. How a version comes to the hosts is in rollout.go.

// Bounds of what is kept of one bundle. A version that somebody may come back to is kept all the same.
const (
	keepVersions     = 10
	keepVersionBytes = 1 << 20
	maxBake          = 30 * day
	wholeShare       = 1_000_000 // a share of all hosts, in parts per million
)

// pushBundle makes a version and brings it to its canaries. What is on its way already, or everywhere, is not pushed
// twice: then it is the same push, whose answer was lost.
func (s *State) pushBundle(c *logpb.PushBundle) *logpb.Result {
	b := s.bundles[c.GetName()]
	v, r := s.draft(b, c)
	if r != nil {
		return r
	}
	if last := Version(b, onItsWay(b)); last != nil && bytes.Equal(last.GetDigest(), v.GetDigest()) && sameLabels(last, v) {
		return versionResult(c.GetName(), last)
	}
	canaries := s.canaries(v, c.GetShare())
	switch {
	case v.GetN() != c.GetBase()+1:
		return refuse("base", "the newest version of %s is %d, and not %d: look at it and push again", c.GetName(), v.GetN()-1,
			c.GetBase())
	case b.GetRollout().GetPhase() == phaseCanary:
		return refuse("canary", "version %d of %s is on its canaries: wait for its end, or roll it back first",
			b.GetRollout().GetVersion(), c.GetName())
	case len(canaries) == 0:
		return refuse("hosts", "no host has the labels %s: nobody could try it", labelText(v))
	case b == nil && len(s.bundles) >= bundle.MaxBundles && !s.dropBundle():
		return refuse("many", "there are %d bundles already, and hosts have all of them", len(s.bundles))
	case b == nil:
		b = &logpb.Bundle{Name: c.GetName()}
		s.bundles[b.GetName()] = b
	}
	s.rerule(b, func() {
		b.Versions = append(b.GetVersions(), v)
		b.Rollout = &logpb.Rollout{Version: v.GetN(), Phase: phaseCanary, Since: s.now(), Canaries: canaries, Bake: c.GetBake(),
			By: v.GetBy()}
		trim(b)
	})
	s.note(v.GetBy(), "rules", "%s is tried on %s, of the hosts with the labels %s", VersionText(b, v.GetN()),
		join(s.names(canaries)), labelText(v))
	return versionResult(b.GetName(), v)
}

// draft is the version that a push would make, or what is wrong with it.
func (s *State) draft(b *logpb.Bundle, c *logpb.PushBundle) (*logpb.BundleVersion, *logpb.Result) {
	files := Files(c.GetFiles())
	if err := cmp.Or(bundle.CheckName(c.GetName()), bundle.Check(files)); err != nil {
		return nil, refuse("bundle", "%v", err)
	}
	switch {
	case c.GetBy() == "":
		return nil, refuse("who", "a bundle has a person who pushes it")
	case c.GetShare() == 0 || c.GetShare() > wholeShare:
		return nil, refuse("share", "the share of the canaries is more than nothing and at most all hosts")
	case c.GetBake() <= 0 || c.GetBake() > maxBake:
		return nil, refuse("bake", "canaries try a version for more than no time and at most 30 days")
	}
	newest := newestVersion(b)
	digest := bundle.Sum(files)
	v := &logpb.BundleVersion{N: newest.GetN() + 1, Digest: digest[:], Files: c.GetFiles(), Labels: clipLabels(c.GetLabels()),
		By: clip(c.GetBy(), maxName), At: s.now()}
	if c.GetSameLabels() {
		v.Labels = newest.GetLabels()
	}
	for _, r := range c.GetRules() {
		v.Rules = append(v.Rules, &logpb.BundleRule{Name: clip(r.GetName(), maxName), Digest: r.GetDigest()})
	}
	return v, nil
}

// rollbackBundle leaves a version, on all hosts at once, for the one that they had before: none, if it was the first.
func (s *State) rollbackBundle(c *logpb.RollbackBundle) *logpb.Result {
	b := s.bundles[c.GetName()]
	switch {
	case b == nil:
		return refuse("bundle", "there is no bundle %q", clip(c.GetName(), maxName))
	case c.GetBy() == "":
		return refuse("who", "a rollback has a person who wants it")
	case c.GetVersion() == 0 || c.GetVersion() != onItsWay(b):
		return refuse("version", "no host is to have version %d of %s now: it is %d", c.GetVersion(), b.GetName(), onItsWay(b))
	}
	s.rerule(b, func() {
		if b.GetRollout().GetPhase() != phaseCanary {
			Version(b, b.GetCurrent()).Proved = false
			b.Current = Former(b)
		}
		s.enterPhase(b, phaseRolledBack, clip(c.GetBy(), maxName), clip(c.GetReason(), maxText))
		b.Rollout.Version = c.GetVersion()
	})
	s.note(c.GetBy(), "rules", "%s is left for %s: %s", VersionText(b, c.GetVersion()), VersionText(b, b.GetCurrent()),
		clip(c.GetReason(), maxText))
	return done()
}

// onItsWay is the number of the version that a person would mean: what canaries try, else what all have; 0: none.
func onItsWay(b *logpb.Bundle) uint64 {
	if r := b.GetRollout(); r.GetPhase() == phaseCanary {
		return r.GetVersion()
	}
	return b.GetCurrent()
}

// Former is the number of the version that all hosts had before the current one, 0: none.
func Former(b *logpb.Bundle) uint64 {
	for _, v := range slices.Backward(b.GetVersions()) {
		if v.GetN() < b.GetCurrent() && v.GetProved() {
			return v.GetN()
		}
	}
	return 0
}

// trim forgets the oldest versions that nobody can come back to.
func trim(b *logpb.Bundle) {
	count, size := len(b.GetVersions()), 0
	for _, v := range b.GetVersions() {
		size += sizeOf(v)
	}
	keep := []uint64{b.GetCurrent(), b.GetRollout().GetVersion(), Former(b), newestVersion(b).GetN()}
	b.Versions = slices.DeleteFunc(b.GetVersions(), func(v *logpb.BundleVersion) bool {
		over := count > keepVersions || size > keepVersionBytes
		if !over || slices.Contains(keep, v.GetN()) {
			return false
		}
		count, size = count-1, size-sizeOf(v)
		return true
	})
}

func sizeOf(v *logpb.BundleVersion) int {
	size := 0
	for _, f := range v.GetFiles() {
		size += len(f.GetText())
	}
	return size
}

// dropBundle forgets the bundle that no host has had for the longest time. It reports whether there was one.
func (s *State) dropBundle() bool {
	var oldest *logpb.Bundle
	for _, b := range s.Bundles() {
		if onItsWay(b) == 0 && (oldest == nil || b.GetRollout().GetSince() < oldest.GetRollout().GetSince()) {
			oldest = b
		}
	}
	delete(s.bundles, oldest.GetName())
	return oldest != nil
}

// Bundles are all, by name; not to be changed.
func (s *State) Bundles() []*logpb.Bundle { return sorted(s.bundles, compare) }

// Bundle is one by its name, nil if there is none; not to be changed.
func (s *State) Bundle(name string) *logpb.Bundle { return s.bundles[name] }

// Version is the one with a number, nil if it is not kept.
func Version(b *logpb.Bundle, n uint64) *logpb.BundleVersion {
	for _, v := range b.GetVersions() {
		if v.GetN() == n {
			return v
		}
	}
	return nil
}

func newestVersion(b *logpb.Bundle) *logpb.BundleVersion {
	if len(b.GetVersions()) == 0 {
		return nil
	}
	return b.GetVersions()[len(b.GetVersions())-1]
}

// Files are the files of a version.
func Files(list []*logpb.BundleFile) []bundle.File {
	out := make([]bundle.File, len(list))
	for i, f := range list {
		out[i] = bundle.File{Name: f.GetName(), Text: f.GetText()}
	}
	return out
}

// VersionText is a version as people read it: "base@3".
func VersionText(b *logpb.Bundle, n uint64) string {
	if n == 0 {
		return "no " + b.GetName()
	}
	return fmt.Sprintf("%s@%d", b.GetName(), n)
}

func versionResult(name string, v *logpb.BundleVersion) *logpb.Result {
	return &logpb.Result{What: &logpb.Result_Id{Id: fmt.Sprintf("%s@%d", name, v.GetN())}}
}

func labelText(v *logpb.BundleVersion) string {
	if len(v.GetLabels()) == 0 {
		return "of all"
	}
	var parts []string
	for _, l := range v.GetLabels() {
		parts = append(parts, l.GetName()+"="+l.GetValue())
	}
	return strings.Join(parts, ",")
}

func sameLabels(a, b *logpb.BundleVersion) bool {
	return slices.EqualFunc(a.GetLabels(), b.GetLabels(), func(x, y *logpb.Label) bool {
		return x.GetName() == y.GetName() && x.GetValue() == y.GetValue()
	})
}
