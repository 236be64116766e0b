package sim

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/proto/logpb"
)

// asked are the turns of worlds whose histories are written: what the model has no words for, such as alerts
// and restores, is left out, and people read the list of permits, too.
var asked = []turn{
	{60, want},
	{12, func(w *World, h *host) {
		h.m.Set(pick(w, h.m.Services()), pick(w, []model.Health{model.Well, model.Well, model.Sick, model.Down, model.Held}))
	}},
	{4, crash},
	{3, partition},
	{4, func(w *World, h *host) {
		if h.s != nil {
			h.drop(w, h.s)
		}
	}},
	{4, func(w *World, _ *host) { w.elect() }},
	{6, func(w *World, h *host) { w.order(pause(pick(w, []string{"all", "host:" + h.m.ID, "service:web"}), 0)) }},
	{12, func(w *World, h *host) {
		w.order(&logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{By: "ann",
			Pause: pick(w, []string{"all", "host:" + h.m.ID, "service:web"})}}})
	}},
	{8, func(w *World, _ *host) { w.revoke() }},
	{4, func(w *World, _ *host) { w.force() }},
	{4, func(w *World, _ *host) { w.order(w.configuration()) }},
	{12, func(w *World, _ *host) { w.list() }},
}

// list reads which permits are open, as a leader does that has made sure that it leads.
func (w *World) list() {
	n := pick(w, w.raft.nodes[:])
	seen := w.history.Call(int64(w.now), spec.List{})
	w.after(w.between(0, 20*time.Millisecond), func() {
		if n == w.raft.leader {
			seen(int64(w.now), spec.Tokens(w.state().Permits()))
		}
	})
}

// A history is whole if it has so many operations; longer ones take too long to look through.
const (
	operations   = 80
	unanswerable = 14 // what nobody answered may have happened at any time: each doubles the work
	lookFor      = 5 * time.Minute
)

// TestHistories: what clients saw is what the table, asked one by one, could have said in some order that the
// times allow. Tokens rise, a refusal's reason is true where it is given, and what nobody answered may have
// happened or not.
func TestHistories(t *testing.T) {
	t.Parallel()
	first, runs := setting(t, "FAULT_SEED", 1), setting(t, "FAULT_RUNS", 40)
	total, unanswered := 0, 0
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			begin, history := record(t, uint64(seed))
			total += len(history)
			for _, o := range history {
				if o.Output == nil {
					unanswered++
				}
			}
			switch porcupine.CheckOperationsTimeout(spec.Model(begin), history, lookFor) {
			case porcupine.Illegal:
				t.Fatalf("seed %d: no order of what was asked explains the answers:\n%s", seed, told(history))
			case porcupine.Unknown:
				t.Fatalf("seed %d: it cannot be told in %v", seed, lookFor)
			}
		})
	}
	t.Logf("seeds %d to %d, %d operations, %d of them unanswered", first, first+runs-1, total, unanswered)
	if total == 0 || unanswered == 0 {
		t.Error("histories without operations, or without faults, show nothing")
	}
}

// record runs a world, and gives the table as it was before the history, on which nothing was in flight.
func record(t *testing.T, seed uint64) (*spec.Table, []porcupine.Operation) {
	t.Helper()
	w := begin(seed, asked, true)
	w.wild = false
	if !w.until(time.Minute, w.rests) {
		t.Fatalf("it does not begin: %s", w.unrest())
	}
	w.until(5*time.Second, func() bool { return false }) // what is on its way arrives
	before := spec.Of(w.state())
	w.calm, w.history = false, spec.NewHistory()
	w.fate()
	for w.history.Len() < operations && w.history.Unanswered() < unanswerable {
		w.Step()
	}
	if wrong := w.Wrong(); len(wrong) > 0 {
		t.Fatalf("seed %d: %s", seed, wrong[0])
	}
	return before, w.history.Operations()
}

// told is a history as people read it.
func told(history []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range history {
		end := "never"
		if o.Return != math.MaxInt64 {
			end = time.Duration(o.Return).String()
		}
		fmt.Fprintf(&b, "%v to %s: %v → %v\n", time.Duration(o.Call), end, o.Input, o.Output)
	}
	return b.String()
}

// Histories in which one answer is false are no histories of the table.
func TestHistoriesNotice(t *testing.T) {
	t.Parallel()
	fake := map[string]func(*logpb.Result) *logpb.Result{
		"a grant that was refused": func(r *logpb.Result) *logpb.Result {
			if r.GetGrant() == nil {
				return nil
			}
			return &logpb.Result{Refusal: &logpb.Refusal{Code: "cap", Text: "no"}}
		},
		"a token that came before": func(r *logpb.Result) *logpb.Result {
			if r.GetGrant().GetToken().GetN() < 2 {
				return nil
			}
			r = proto.CloneOf(r)
			r.GetGrant().Token.N--
			return r
		},
		"a reason that is not true": func(r *logpb.Result) *logpb.Result {
			if r.GetRefusal().GetCode() != "cap" {
				return nil
			}
			return &logpb.Result{Refusal: &logpb.Refusal{Code: "halted", Text: "no"}}
		},
		"an epoch that came before": func(r *logpb.Result) *logpb.Result {
			if r.GetWelcome() == nil {
				return nil
			}
			r = proto.CloneOf(r)
			r.GetWelcome().Epoch--
			return r
		},
	}
	for name, lie := range fake {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); ; seed++ {
				begin, history := record(t, seed)
				if !falsify(history, lie) {
					continue
				}
				if porcupine.CheckOperationsTimeout(spec.Model(begin), history, lookFor) != porcupine.Illegal {
					t.Errorf("seed %d: nobody noticed", seed)
				}
				return
			}
		})
	}
}

// falsify changes one answer, and reports whether there was one to change.
func falsify(history []porcupine.Operation, lie func(*logpb.Result) *logpb.Result) bool {
	for i, o := range history {
		if r, ok := o.Output.(*logpb.Result); ok {
			if r = lie(r); r != nil {
				history[i].Output = r
				return true
			}
		}
	}
	return false
}
