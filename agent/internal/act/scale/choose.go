package scale

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/remedy"
)

// running are the numbers of the instances that run, the lowest first. Instances of other names are left alone and not
// counted. While one is on its way nobody knows how many there are.
func (k Kind) running(a *remedy.ScaleArgs) ([]int, error) {
	var numbers []int
	stem, suffix, _ := strings.Cut(a.Unit, "@")
	for _, name := range k.Systemd.Match(a.Among()[0]) {
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, stem+"@"), suffix))
		if n < 1 || a.Instance(n) != name { // "worker@01.service" is none of ours
			continue
		}
		active := k.Systemd.Active(name)
		if active == "deactivating" || k.Systemd.Queued(name) {
			return nil, kind.Postpone("%s is starting or stopping", name)
		}
		if active != "inactive" && active != "failed" {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// choose picks the instances to start or to stop, in the order in which that is done.
func (k Kind) choose(ctx context.Context, a *remedy.ScaleArgs, running []int) (verb remedy.Kind, chosen []int, err error) {
	have := len(running)
	switch want := a.Want(have); {
	case want == have && a.By > 0:
		return "", nil, kind.Needless("%d instances of %s run, and at most %d may", have, a.Unit, a.Max)
	case want == have && a.By < 0:
		return "", nil, kind.Needless("%d instances of %s run, and at least %d must", have, a.Unit, a.Min)
	case want == have:
		return "", nil, kind.Needless("%d instances of %s run already", have, a.Unit)
	case want < have:
		slices.Reverse(running[want:])
		return remedy.Stop, running[want:], nil
	}
	chosen, err = k.missing(ctx, a, running, a.Want(have)-have)
	return remedy.Start, chosen, err
}

// missing are so many of the lowest instances that are down and that no person wants down.
func (k Kind) missing(ctx context.Context, a *remedy.ScaleArgs, running []int, count int) ([]int, error) {
	var found []int
	for n := 1; n <= a.Max && len(found) < count; n++ {
		name := a.Instance(n)
		if slices.Contains(running, n) || k.Systemd.StoppedByPerson(name) {
			continue
		}
		u, err := k.Systemd.Read(ctx, name)
		if err != nil {
			return nil, kind.Unknown("the state of "+name, err)
		}
		if u.Load != "masked" {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return nil, kind.Refuse("none of the first %d instances of %s is missing: those that are down are masked, or were stopped by "+
			"a person or before the agent started; what is started by hand counts again", a.Max, a.Unit)
	}
	return found, nil
}
