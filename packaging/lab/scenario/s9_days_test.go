//go:build lab

package scenario

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/packaging/lab/chaos"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
)

// How the bad days are compressed: while the storm lasts, all wall clocks go on by six hours.
const (
	storm   = 4 * time.Minute
	days    = 6 * time.Hour
	strides = 24
)

// TestBadDays: six hours of bad days in a few minutes. Controllers, hosts, networks, disks and shops break at random,
// and a person meddles. Whatever happens, by the audit and by what systemd did, no two shops are under repair at once;
// and in the end everything is healed, or in the hands of a person who has heard of it.
func TestBadDays(t *testing.T) {
	f := fresh(t)
	since, begun := time.Now(), time.Duration(f.offset.Load())
	ctx, stop := context.WithTimeout(f.ctx(), storm)
	defer stop()
	var all sync.WaitGroup
	streams := uint64(100)
	begin := func(every time.Duration, strike func(context.Context, *rand.Rand)) {
		streams++
		dice := rand.New(rand.NewPCG(seed, streams)) // of its own, so that no order of the goroutines changes what falls
		all.Go(func() {
			for wait(ctx, time.Duration(dice.Int64N(int64(2*every)))) {
				strike(ctx, dice)
			}
		})
	}
	begin(15*time.Second, f.strikeNode)
	begin(15*time.Second, f.strikeHost)
	begin(8*time.Second, f.strikeShop)
	begin(10*time.Second, f.meddle)
	all.Go(func() {
		for i := 1; wait(ctx, storm/strides); i++ {
			f.clock(begun + days*time.Duration(i)/strides)
		}
	})
	all.Wait()
	f.tell("the storm is over")
	f.eventually(2*upTime, "Salve has done what it could", f.busy)
	f.tell("Salve is at its end")

	f.repairsApart(since, 4)
	f.nothingLost()
	f.mend()
	f.awaitWell()
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// strike is something that befalls a host and is over when it returns.
type strike struct {
	name string
	do   func(ctx context.Context, f *fleet, h *booted.Host, d time.Duration) error
}

// anyHost may befall every host.
var anyHost = []strike{
	{"is frozen", func(ctx context.Context, _ *fleet, h *booted.Host, d time.Duration) error {
		if err := h.Freeze(); err != nil {
			return err
		}
		wait(ctx, d)
		return h.Thaw()
	}},
	{"loses its power", func(ctx context.Context, f *fleet, h *booted.Host, d time.Duration) error {
		if err := h.PowerCut(); err != nil {
			return err
		}
		wait(ctx, d)
		return h.Boot(f.ctx())
	}},
	{"reboots", func(_ context.Context, f *fleet, h *booted.Host, _ time.Duration) error { return h.Reboot(f.ctx()) }},
	{"is cut off", func(ctx context.Context, f *fleet, h *booted.Host, d time.Duration) error {
		return f.cut(ctx, h, d, true, true)
	}},
	{"is deaf", func(ctx context.Context, f *fleet, h *booted.Host, d time.Duration) error {
		return f.cut(ctx, h, d, true, false)
	}},
	{"is unheard", func(ctx context.Context, f *fleet, h *booted.Host, d time.Duration) error {
		return f.cut(ctx, h, d, false, true)
	}},
	{"has a full disk", func(ctx context.Context, _ *fleet, h *booted.Host, d time.Duration) error {
		if err := h.FillDisk(); err != nil {
			return err
		}
		wait(ctx, d)
		return h.FreeDisk()
	}},
}

// cut lets nothing pass to or from the daemons of a host. The desk still reaches it, as people go other ways.
func (f *fleet) cut(ctx context.Context, h *booted.Host, d time.Duration, to, from bool) error {
	peers := f.others(h, f.desk)
	if to {
		if err := booted.OneWay(f.ctx(), peers, []*booted.Host{h}); err != nil {
			return err
		}
	}
	if from { // by what each of them drops; another cut may end this one early, which is a fault like any other
		for _, p := range peers {
			if err := booted.OneWay(f.ctx(), []*booted.Host{h}, []*booted.Host{p}); err != nil {
				return err
			}
		}
	}
	wait(ctx, d)
	return booted.Heal(f.ctx(), f.lab.Hosts()...)
}

func (f *fleet) strikeNode(ctx context.Context, dice *rand.Rand) {
	f.strike(ctx, dice, f.ctl, append(slices.Clone(anyHost), killed("salve-controller")))
}

func (f *fleet) strikeHost(ctx context.Context, dice *rand.Rand) {
	f.strike(ctx, dice, f.web, append(slices.Clone(anyHost), killed("salve-agent")))
}

// killed kills a daemon, which systemd starts again.
func killed(unit string) strike {
	return strike{"has " + unit + " killed", func(_ context.Context, f *fleet, h *booted.Host, _ time.Duration) error {
		_, err := h.Exec(f.ctx(), "systemctl", "kill", "--signal=KILL", unit)
		return err
	}}
}

func (f *fleet) strike(ctx context.Context, dice *rand.Rand, hosts []*booted.Host, strikes []strike) {
	h, s := hosts[dice.IntN(len(hosts))], strikes[dice.IntN(len(strikes))]
	d := time.Duration(dice.Int64N(int64(14 * time.Second))) // some longer than until a host is lost
	f.tell("%s %s, for %v", h.Name, s.name, d.Round(time.Millisecond))
	if err := s.do(ctx, f, h, d); err != nil {
		f.t.Errorf("%s %s: %v", h.Name, s.name, err)
	}
}

// strikeShop makes the shop ill on some hosts at once. Where the host is off or frozen nothing comes of it.
func (f *fleet) strikeShop(ctx context.Context, dice *rand.Rand) {
	a := []ailment{crashes, hangs, fails}[dice.IntN(3)]
	many := []int{1, 1, 1, 2, 2, len(f.web)}[dice.IntN(6)]
	for _, i := range dice.Perm(len(f.web))[:many] {
		within, cancel := context.WithTimeout(ctx, time.Second)
		if a.strike(within, f, f.web[i]) == nil {
			f.tell("the shop on %s %s", f.web[i].Name, a.name)
		}
		cancel()
	}
}

// meddle does what somebody on call may do meanwhile. Often there is nothing of the kind, or no quorum: then nothing
// happens.
func (f *fleet) meddle(_ context.Context, dice *rand.Rand) {
	orders := [][]string{
		{"resume", "service:shop"},
		{"breaker", "close", "shop", []string{"shop-down", "shop-hangs", "shop-fails"}[dice.IntN(3)]},
		{"pause", "service:shop", "--for", "4s", "--wait", "0s", "--reason", "to look at it"},
		{"raft", "transfer"},
	}
	order := orders[dice.IntN(len(orders))]
	if _, err := f.salve(order...); err == nil {
		f.tell("a person says salve %s", strings.Join(order, " "))
	}
}

// busy says what Salve has still to do, "" if all that is left is with people.
func (f *fleet) busy() string {
	if why := f.strangers(); why != "" {
		return why
	}
	permits, err := f.permits()
	if err != nil {
		return err.Error()
	}
	stories, err := f.stories()
	if err != nil {
		return err.Error()
	}
	if why := chaos.Unfinished(permits, stories); why != "" {
		return why
	}
	watched := map[string]bool{}
	for _, i := range stories {
		for _, a := range i.GetAlerts() {
			watched[a.GetHostName()] = watched[a.GetHostName()] || !chaos.Ended(i) && a.GetResolved() == 0
		}
	}
	for _, h := range f.web {
		if !f.serves(h) && !watched[h.Name] {
			return "the shop on " + h.Name + " is ill, and in no incident"
		}
	}
	return ""
}

// stories are all incidents that the controller keeps, each with its alerts.
func (f *fleet) stories() ([]*adminpb.GetIncidentResponse, error) {
	list, err := f.incidents("--all")
	if err != nil {
		return nil, err
	}
	var out []*adminpb.GetIncidentResponse
	for _, i := range list {
		r := &adminpb.GetIncidentResponse{}
		if err := f.read(f.desk, r, "incidents", i.GetId()); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// nothingLost: what stands in an agent's journal stands in exactly one incident, and people have heard of what is
// theirs.
func (f *fleet) nothingLost() {
	f.t.Helper()
	f.eventually(upTime, "every alert is with the controller, and people know of theirs", func() string {
		stories, err := f.stories()
		if err != nil {
			return err.Error()
		}
		journals := map[string][]*localpb.Incident{}
		for _, h := range f.web {
			list, err := f.local(h)
			if err != nil {
				return err.Error()
			}
			for _, s := range list {
				i := &localpb.Incident{}
				if err := f.read(h, i, "agent", "explain", s.GetId()); err != nil {
					return err.Error()
				}
				journals[h.Name] = append(journals[h.Name], i)
			}
		}
		for _, twice := range chaos.Twice(stories) {
			f.t.Error(twice)
		}
		missing := append(chaos.Lost(journals, stories), chaos.Unheard(stories, f.pager.Pages())...)
		return strings.Join(missing, ", ")
	})
}

// mend is what a person does with what Salve has handed over.
func (f *fleet) mend() {
	f.t.Helper()
	for _, h := range f.web {
		if !f.serves(h) {
			f.tell("a person restarts the shop on %s", h.Name)
			f.sh(h, "systemctl restart "+shop)
		}
	}
	f.eventually(upTime, "every shop serves", f.unwell)
	f.pass(5 * time.Second) // in which alerts clear
	incidents, err := f.incidents()
	f.must(err)
	for _, i := range incidents {
		f.tell("a person ends %.8s", i.GetId())
		_, _ = f.salve("resolve", i.GetId(), "--yes", "--reason", "mended by hand") // it may have ended just now
	}
}
