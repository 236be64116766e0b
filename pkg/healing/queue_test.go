package healing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// schedule is a host on which incidents come and go, decided about in any order. It keeps a list of its own of who waits.
type schedule struct {
	queue   Queue
	now     time.Duration
	open    []*Facts // alerts that fire and have no attempt
	wants   map[string][]remedy.Lock
	waiting []string // incidents, by when they began to wait
	running []incident.Attempt
	begun   int
	t       *rapid.T
}

func (s *schedule) arrive(locks []remedy.Lock) {
	s.begun++
	f := dead()
	f.Incident.ID, f.Alert.Rule, f.Alert.Instance = fmt.Sprintf("i%d", s.begun), fmt.Sprintf("rule-%d", s.begun), fmt.Sprint(s.begun)
	f.Alert.Fired, f.Alert.EscalateAfter, f.Host.PerHour, f.Unit = at(s.now), 20*time.Second, 10_000, Unit{}
	f.Candidates = []Candidate{{Name: "mend-" + f.Incident.ID, Kind: remedy.Exec, Target: "x", Allowed: true, Attempts: 1, Recurring: 1, Locks: locks}}
	s.open, s.wants[f.Incident.ID] = append(s.open, &f), locks
}

// decide is what an engine does about one alert.
func (s *schedule) decide(f *Facts) {
	f.History, f.Ahead = s.running, s.queue.Before(f.Incident.ID, f.Alert.Rule, f.Alert.Instance)
	d := Decide(at(s.now), *f)
	if d.Verdict == Escalate { // people are told, and it goes on waiting
		s.queue.Take(f, d)
		f.Incident.Told = true
		d = Decide(at(s.now), *f)
	}
	s.queue.Take(f, d)
	id := f.Incident.ID
	i := slices.Index(s.waiting, id)
	if d.Verdict != Act {
		if d.Guard != Busy || !strings.Contains(d.Reason, fmt.Sprintf("place %d in the queue", 1+s.before(id))) {
			s.t.Fatalf("%s: %s, %q", id, d.Verdict, d.Reason)
		}
		if i < 0 {
			s.waiting = append(s.waiting, id)
		}
		return
	}
	if s.before(id) > 0 {
		s.t.Fatalf("%s passes somebody", id)
	}
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	s.open = slices.DeleteFunc(s.open, func(o *Facts) bool { return o == f })
	s.running = append(slices.Clone(s.running), incident.Attempt{ID: id, Incident: id, Remedy: d.Remedy, Rule: f.Alert.Rule,
		By: incident.ByRule, Service: id, Intended: at(s.now), Phase: incident.Acted, Locks: s.wants[id]})
}

// before counts who came before the incident and wants the same.
func (s *schedule) before(id string) (n int) {
	for _, w := range s.waiting {
		if w == id {
			break
		}
		if remedy.Meet(s.wants[id], s.wants[w]) != "" {
			n++
		}
	}
	return n
}

func (s *schedule) end(i int) { s.running = slices.Delete(slices.Clone(s.running), i, i+1) }

func (s *schedule) resolve(i int) {
	f := s.open[i]
	s.queue.Leave(f.Incident.ID, f.Alert.Rule, f.Alert.Instance)
	s.waiting = slices.DeleteFunc(s.waiting, func(id string) bool { return id == f.Incident.ID })
	s.open = slices.Delete(s.open, i, i+1)
}

// everyone is decided about until nothing changes, in the order that comes.
func (s *schedule) everyone() {
	for n := -1; n != len(s.open); {
		n = len(s.open)
		for _, f := range rapid.Permutation(s.open).Draw(s.t, "order") {
			s.decide(f)
		}
	}
}

// check is what holds after every step: nothing has two, and who waits knows for whom.
func (s *schedule) check() {
	for i, a := range s.running {
		for _, b := range s.running[:i] {
			if l := remedy.Meet(a.Locks, b.Locks); l != "" {
				s.t.Fatalf("%s and %s both have %s", a.ID, b.ID, l)
			}
		}
	}
	for _, f := range s.open {
		id := f.Incident.ID
		held := slices.ContainsFunc(s.running, func(a incident.Attempt) bool { return remedy.Meet(s.wants[id], a.Locks) != "" })
		if !slices.Contains(s.waiting, id) || !held && s.before(id) == 0 {
			s.t.Fatalf("%s neither runs nor waits for anybody", id)
		}
	}
}

// TestQueue lets incidents that want the same things come, end, and be decided about in any order: never two on one thing,
// nobody is passed or forgotten, and in the end everybody had a turn.
func TestQueue(t *testing.T) {
	things := rapid.SliceOfN(rapid.SampledFrom([]remedy.Lock{
		"unit web.service", "unit web*.service", "unit db.service", "pool db", "path /srv", "path /srv/log", "cache db",
	}), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		s := &schedule{wants: map[string][]remedy.Lock{}, t: t}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			s.now += time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second
			switch what := rapid.IntRange(0, 3).Draw(t, "what"); {
			case what <= 1:
				s.arrive(remedy.Locks(things.Draw(t, "locks")...))
			case what == 2 && len(s.running) > 0:
				s.end(rapid.IntRange(0, len(s.running)-1).Draw(t, "ends"))
			case what == 3 && len(s.open) > 0:
				s.resolve(rapid.IntRange(0, len(s.open)-1).Draw(t, "resolves"))
			}
			s.everyone()
			s.check()
		}
		for len(s.open) > 0 {
			if len(s.running) == 0 {
				t.Fatalf("%d wait, and nobody works", len(s.open))
			}
			s.running = nil
			s.everyone()
			s.check()
		}
		if len(s.queue.waiters) > 0 {
			t.Fatalf("%d wait for ever", len(s.queue.waiters))
		}
	})
}

// A person who asks is told who has the thing, and of no place in a queue, in which nobody who asks stands.
func TestRequestLocked(t *testing.T) {
	f := Facts{
		Alert: Alert{Rule: "a person's request", Service: "checkout", Instance: "a.service", Firing: true}, Host: Host{State: "running", PerHour: 9},
		Candidates: []Candidate{{Name: "fix", Kind: remedy.Exec, Target: "/x", Allowed: true, Locks: []remedy.Lock{"unit a.service"}}},
		Ahead:      []Waiter{{Incident: "i1", Rule: "r", Remedy: "x", Locks: []remedy.Lock{"unit a.service"}}},
	}
	if d := Request(clock.Stamp{}, f, "fix"); d.Verdict != Act {
		t.Errorf("beside one who waits: %+v", d)
	}
	f.History = []incident.Attempt{{Incident: "i9", Remedy: "y", Rule: "r", By: incident.ByRule, Phase: incident.Acted, Locks: f.Candidates[0].Locks}}
	d := Request(clock.Stamp{}, f, "fix")
	if d.Verdict != Wait || d.Guard != Busy || !strings.HasPrefix(d.Reason, "fix needs unit a.service: y of incident i9, because of r, ") ||
		strings.Contains(d.Reason, "queue") {
		t.Errorf("beside one who works: %+v", d)
	}
}
