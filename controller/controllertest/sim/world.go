// Package sim runs a whole fleet without Raft and without a clock: one log, the rules that read it, hosts on
// which actions really run, agents that follow the real protocol, and between them a network that delays,
// repeats, reorders and loses what it carries. A seed is a schedule: what goes wrong, when, is drawn from it.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/controller/controllertest/audit"
	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// kept is how many lines of the story a failure tells.
const kept = 50

// World is one fleet with its controller.
type World struct {
	Witness *model.Witness
	Audit   *audit.Auditor

	history *spec.History // nil: nobody writes it
	turns   []turn

	dice  *rand.Rand
	now   time.Duration // true time
	queue events
	seq   int
	steps int
	story []string
	calm  bool // nothing new goes wrong
	quiet bool // nobody tidies up

	index   uint64        // of the last entry
	logTime time.Duration // stamped last
	stamped time.Duration // when
	old     []audit.Copy
	raft    raft
	hosts   []*host // those that are, or may come back
	names   int
	wants   int
	counts  map[string]int
	weights []int // of the turns that fate may take
	wild    bool  // messages are repeated, reordered and lost one by one
}

// event is something that happens at a time.
type event struct {
	at   time.Duration
	seq  int
	what func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// New is a world in which nothing has happened yet, and everything may.
func New(seed uint64) *World { return begin(seed, turns, false) }

// begin makes a world in which these things happen. If it is calm, they do not yet.
func begin(seed uint64, turns []turn, calm bool) *World {
	w := &World{Witness: model.NewWitness(), dice: rand.New(rand.NewPCG(seed, 0)), now: time.Hour, logTime: time.Hour,
		stamped: time.Hour, counts: map[string]int{}, turns: turns, calm: calm}
	w.Audit = audit.New(w.Witness)
	w.Witness.Called = func(j *model.Job, m *model.Machine) {
		w.tell("%s is called", j)
		w.counts["step"]++
		if j.Alone {
			w.counts["step alone"]++
		}
		if j.Undo {
			w.counts["undo"]++
		}
		if !m.Forgot {
			w.Audit.Step(j, m.ID)
		}
	}
	w.wild = w.dice.IntN(4) == 0
	w.weigh()
	w.raft.start(w)
	w.settle()
	w.every(time.Second, w.duties)
	w.after(0, w.fate)
	return w
}

// settle is the beginning: a configuration, and hosts that say hello.
func (w *World) settle() {
	w.enter(&logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: w.generation(), Reason: "bootstrap", Bootstrap: true}}})
	w.enter(w.configuration())
	for range 3 + w.dice.IntN(4) {
		w.enrol()
	}
}

// Step lets the next thing happen.
func (w *World) Step() {
	e := heap.Pop(&w.queue).(event)
	w.now = max(w.now, e.at)
	w.steps++
	e.what()
}

// Wrong is what must not have happened.
func (w *World) Wrong() []string { return w.Audit.Wrong() }

// Counts says how often what happened.
func (w *World) Counts() map[string]int { return w.counts }

// Story is the last of what happened.
func (w *World) Story() string { return strings.Join(w.story, "\n") }

func (w *World) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%5d %9.3fs  ", w.steps, (w.now-time.Hour).Seconds())+
		fmt.Sprintf(format, args...))
	if len(w.story) > 2*kept {
		w.story = slices.Clone(w.story[kept:])
	}
}

func (w *World) after(d time.Duration, what func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + d, w.seq, what})
}

func (w *World) every(d time.Duration, what func()) {
	w.after(d, func() {
		what()
		w.every(d, what)
	})
}

// chance is true so many times of a hundred.
func (w *World) chance(percent int) bool { return w.dice.IntN(100) < percent }

// between is a time drawn evenly.
func (w *World) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.dice.Int64N(int64(to-from)+1))
}

// called writes down that somebody asks something of the log. What it returns takes the answer that is seen.
func (w *World) called(c *logpb.Command) func(*logpb.Result) {
	if c == nil || c.GetEvents() != nil {
		return func(*logpb.Result) {}
	}
	returned := w.history.Call(int64(w.now), c)
	return func(r *logpb.Result) { returned(int64(w.now), r) }
}

// state is what the log says now.
func (w *World) state() *state.State { return w.Audit.Whole }

func (w *World) generation() string {
	return fmt.Sprintf("%016x%016x", w.dice.Uint64(), w.dice.Uint64())
}

func pick[T any](w *World, from []T) T { return from[w.dice.IntN(len(from))] }
