package arbiter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// A case of the listener: what each host did, and which edges follow at which second.
func TestListener(t *testing.T) {
	const s = time.Second
	host := func(id string) fact { return fact{id: id, epoch: 1} }
	hosts := func(n int) (out []fact) {
		for i := range n {
			out = append(out, host(fmt.Sprintf("h%d", i)))
		}
		return out
	}
	for _, test := range []struct {
		name  string
		since time.Duration
		now   time.Duration
		facts []fact
		heard map[string]heard
		want  string // "+" lost, "-" heard again
		cut   bool
	}{
		{"all are heard", 0, 60 * s, hosts(2), map[string]heard{"h0": {1, 58 * s}, "h1": {1, 51 * s}}, "", false},
		{"one of two is silent", 0, 60 * s, hosts(2), map[string]heard{"h0": {1, 58 * s}, "h1": {1, 50 * s}}, "+h1", false},
		{"both of two are silent", 0, 60 * s, hosts(2), nil, "+h0 +h1", false},
		{"a young leadership", 55 * s, 60 * s, hosts(1), map[string]heard{"h0": {1, 3 * s}}, "", false},
		{"ten seconds of leadership", 50 * s, 60 * s, hosts(1), nil, "+h0", false},
		{"another session's round trip", 0, 60 * s, []fact{{id: "h0", epoch: 2}}, map[string]heard{"h0": {1, 60 * s}}, "+h0", false},
		{"heard again", 0, 60 * s, []fact{{id: "h0", epoch: 1, lost: true}}, map[string]heard{"h0": {1, 59 * s}}, "-h0", false},
		{"lost and silent", 0, 60 * s, []fact{{id: "h0", epoch: 1, lost: true}}, map[string]heard{"h0": {1, 40 * s}}, "", false},
		{"lost, and a session of old", 0, 60 * s, []fact{{id: "h0", epoch: 2, lost: true}}, map[string]heard{"h0": {1, 59 * s}}, "", false},
		{"two of four fall silent", 0, 60 * s, hosts(4), map[string]heard{"h0": {1, 59 * s}, "h1": {1, 59 * s}}, "+h2 +h3", false},
		{"three of four fall silent", 0, 60 * s, hosts(4), map[string]heard{"h0": {1, 59 * s}}, "", true},
		{
			"three of four, not at the same moment", 0, 60 * s, hosts(4),
			map[string]heard{"h0": {1, 59 * s}, "h1": {1, 50 * s}, "h2": {1, 52 * s}, "h3": {1, 54 * s}}, "", true,
		},
		{
			"one falls silent after others were lost", 0, 60 * s,
			[]fact{{id: "h0", epoch: 1, lost: true}, {id: "h1", epoch: 1, lost: true}, host("h2"), host("h3"), host("h4")},
			map[string]heard{"h2": {1, 59 * s}, "h3": {1, 59 * s}}, "+h4", false,
		},
		{
			"quarantined hosts say nothing about our link", 0, 60 * s,
			[]fact{{id: "h0", epoch: 1, quarantined: true}, {id: "h1", epoch: 1, quarantined: true}, host("h2")},
			map[string]heard{"h2": {1, 59 * s}}, "+h0 +h1", false,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := listener{since: test.since}
			h := hearing{hosts: test.heard}
			var got []string
			for _, e := range l.judge(test.now, test.facts, &h) {
				got = append(got, map[bool]string{true: "+", false: "-"}[e.GetLost()]+e.GetHost())
				if e.GetEpoch() != 0 || e.GetService() != "" {
					t.Errorf("edge %v is not the leader's", e)
				}
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); text != test.want || l.cutOff != test.cut {
				t.Errorf("edges %q, cut off %v; want %q, %v", text, l.cutOff, test.want, test.cut)
			}
		})
	}
}

func TestHearingTakesTheNewest(t *testing.T) {
	var h hearing
	h.note("h", 1, time.Second) // nobody listens yet
	h.begin(map[string]heard{})
	for _, note := range []heard{{2, 5}, {1, 9}, {2, 4}, {2, 7}, {3, 6}} {
		h.note("h", note.epoch, note.at)
	}
	if got := h.hosts["h"]; got != (heard{3, 6}) {
		t.Errorf("heard %v", got)
	}
}

// fleet says hello for n hosts and pings for those that are on.
type fleet struct {
	r      *rig
	j      *arbitertest.Journal
	epochs map[string]uint64
	off    map[string]bool
}

func newFleet(r *rig, j *arbitertest.Journal, n int) *fleet {
	f := &fleet{r, j, map[string]uint64{}, map[string]bool{}}
	for i := range n {
		id := fmt.Sprintf("h%02d", i)
		f.epochs[id] = r.must(hello(id)).GetWelcome().GetEpoch()
	}
	return f
}

// pass lets time pass, with pings.
func (f *fleet) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Second) {
		for id, epoch := range f.epochs {
			if !f.off[id] {
				f.r.Heard(id, epoch, f.r.watch.Now().Boot)
			}
		}
	}
}

func (f *fleet) lost() []string {
	var out []string
	f.j.View(func(s *state.State) {
		for _, h := range s.Hosts() {
			if h.GetLost() {
				out = append(out, h.GetId())
			}
		}
	})
	return out
}

// A host that falls silent is lost after ten seconds, and heard again once it speaks.
func TestLostAndHeardAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		f := newFleet(leading(t, j, nil), j, 3)
		f.pass(20 * time.Second)
		f.off["h01"] = true
		f.pass(6 * time.Second) // eight after its last round trip
		if got := f.lost(); len(got) != 0 {
			t.Errorf("lost after 8 s: %v", got)
		}
		f.pass(4 * time.Second)
		if got := f.lost(); !slices.Equal(got, []string{"h01"}) {
			t.Errorf("lost after 12 s: %v", got)
		}
		f.off["h01"] = false
		f.pass(4 * time.Second)
		if got := f.lost(); len(got) != 0 {
			t.Errorf("heard again, and lost: %v", got)
		}
	})
}

// No mass lost: more than half at once means that we are cut off, and nobody is blamed; when the link is back,
// the slow ones get their time, and who is really gone is lost after it.
func TestNoMassLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r := leading(t, j, nil)
		f := newFleet(r, j, 10)
		f.pass(20 * time.Second)
		for i := range 10 {
			f.off[fmt.Sprintf("h%02d", i)] = true
		}
		f.pass(10 * time.Minute)
		if got := f.lost(); len(got) != 0 || !r.CutOff() {
			t.Errorf("cut off %v, and lost: %v", r.CutOff(), got)
		}
		for i := range 6 {
			f.off[fmt.Sprintf("h%02d", i)] = false
		}
		f.pass(8 * time.Second)
		if got := f.lost(); len(got) != 0 || r.CutOff() {
			t.Errorf("cut off %v; those that need longer to come back are lost: %v", r.CutOff(), got)
		}
		for i := range 9 {
			f.off[fmt.Sprintf("h%02d", i)] = false
		}
		f.pass(10 * time.Second)
		if got := f.lost(); !slices.Equal(got, []string{"h09"}) {
			t.Errorf("lost: %v, want the one that is gone", got)
		}
	})
}

// A new leader has heard nobody, and says so of nobody for ten seconds.
func TestNewLeaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		r1 := leading(t, j, nil)
		newFleet(r1, j, 2).pass(20 * time.Second)
		r1.seat.Elect("n2", false)
		synctest.Wait()
		time.Sleep(time.Hour)
		r2 := start(t, j, "n2", 0, nil)
		f := &fleet{r2, j, map[string]uint64{}, nil}
		r2.seat.Elect("n2", false)
		time.Sleep(9 * time.Second)
		if got := f.lost(); len(got) != 0 {
			t.Errorf("lost after 9 s of leadership: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := f.lost(); len(got) != 2 {
			t.Errorf("lost after 11 s of leadership: %v", got)
		}
	})
}

// Thousands of edges fit into entries.
func TestManyEdges(t *testing.T) {
	edges := make([]*logpb.Edge, 5000)
	for i := range edges {
		edges[i] = &logpb.Edge{Host: fmt.Sprintf("%032d", i), Lost: true}
	}
	n := 0
	for _, c := range commands(edges) {
		b, err := seal(c)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > maxCommand/4 {
			t.Errorf("a command of %d bytes", len(b))
		}
		n += len(c.GetEdges().GetEdge())
	}
	if n != len(edges) {
		t.Errorf("%d edges of %d", n, len(edges))
	}
}
