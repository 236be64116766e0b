package config

import (
	"cmp"
	"crypto/sha256"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// million: shares are replicated as parts of it.
const million = 1e6

// Replicated is what the controller decides by, as it stands in the log. Nodes whose files agree on it make equal
// messages, digest included, however the files are ordered and whatever is the node's own.
func (c *ControllerFile) Replicated() *logpb.Config {
	r := &logpb.Config{
		BreakerShare: parts(c.Breaker.Share), BreakerWindow: int64(c.Breaker.Window), FleetMax: uint32(c.FleetMax),
	}
	for _, s := range c.Services {
		r.Services = append(r.Services, s.replicated())
	}
	for _, e := range c.Escalations {
		r.Escalations = append(r.Escalations, e.replicated())
	}
	for _, w := range c.Windows {
		r.Windows = append(r.Windows, w.replicated())
	}
	slices.SortFunc(r.Services, byName)
	slices.SortFunc(r.Escalations, byName)
	slices.SortFunc(r.Windows, byName)
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		panic("config: " + err.Error()) // texts of HCL are UTF-8; nothing else can fail
	}
	digest := sha256.Sum256(bytes)
	r.Digest = digest[:]
	return r
}

// byName orders messages by their names, which are unique among those of one kind.
func byName[T interface{ GetName() string }](a, b T) int {
	return cmp.Compare(a.GetName(), b.GetName())
}

// parts turns a share into parts per million, at least one of them when it is not zero.
func parts(share float64) uint32 {
	if share <= 0 {
		return 0
	}
	return uint32(max(1, math.Round(share*million)))
}

func (s *FleetService) replicated() *logpb.Service {
	r := &logpb.Service{
		Name: s.Name, Autonomy: string(s.Autonomy), Owners: s.Owners, PermitAlways: s.PermitAlways,
		AloneAct: s.Alone == AloneAct, Escalation: s.Escalation,
	}
	if s.MaxUnavailable.Share > 0 {
		r.MaxUnavailableShare = proto.Uint32(parts(s.MaxUnavailable.Share))
	} else {
		r.MaxUnavailable = proto.Uint32(uint32(s.MaxUnavailable.Hosts))
	}
	return r
}

func (e *Escalation) replicated() *logpb.Escalation {
	r := &logpb.Escalation{Name: e.Name}
	for _, s := range e.Steps {
		r.Steps = append(r.Steps, &logpb.Step{
			After: int64(s.After), Notify: slices.Clone(s.Notify), Repeat: uint32(s.Repeat),
		})
	}
	return r
}

func (w *Window) replicated() *logpb.Window {
	r := &logpb.Window{
		Name: w.Name, Services: sortedSet(w.Services), From: w.From, To: w.To, Zone: w.Zone.String(), Reason: w.Reason,
	}
	for _, d := range w.Days {
		r.Days = append(r.Days, uint32(d))
	}
	r.Days = sortedSet(r.Days)
	return r
}

func sortedSet[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
