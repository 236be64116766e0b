package delivery

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/agentpb"
)

// runs lets the agent run for so long, and then stops it as people do.
func (w *world) runs(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
}

// A bundle that the agent dies of at each start is left out in the end, and stays out until there is another version.
func TestDeadlyBundle(t *testing.T) {
	w := newWorld(t)
	w.wants("one")
	w.step(t.Context())
	for range mostStarts {
		w.start()
		w.wants("one")
		w.step(t.Context())
		w.is(t, "one", "")
	}
	for range 2 {
		w.start()
		w.step(t.Context()) // the controller is out of reach
		w.wants("one")
		if !w.step(t.Context()) {
			t.Error("what is refused is left for later")
		}
		if hb := w.report[0]; len(w.held) > 0 || !hb.GetRefused() || !strings.Contains(hb.GetError(), "died 3 times within 1m0s") {
			t.Errorf("%q holds, and it says %v", w.held, hb)
		}
		w.Loaded(load(w.Offers())) // a reload of the host's files is no other version
	}
	w.wants("two")
	w.step(t.Context())
	w.is(t, "two", "")
	w.start()
	w.is(t, "two", "")
}

// What an agent has run with for a minute is not what the next ones die of, and one that people stop has not died.
func TestTrialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.wants("one")
		w.step(t.Context())
		for range mostStarts + 1 {
			w.start()
			w.runs(t, time.Second)
			w.is(t, "one", "")
		}
		w.start()
		w.runs(t, trialTime+time.Second)
		for range mostStarts + 1 {
			w.start()
			w.is(t, "one", "")
		}
	})
}

// The minute begins anew with what is new.
func TestTrialIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.wants("one")
		go func() {
			time.Sleep(trialTime - 10*time.Second)
			w.wants("two")
		}()
		w.runs(t, trialTime+10*time.Second)
		if all, err := read(w.path()); err != nil || len(all) != 1 || all[0].proved {
			t.Errorf("on the disk there is %+v, %v", all, err)
		}
	})
}

// Only what is on trial is left out, and not what has proved itself beside it.
func TestInnocentBundle(t *testing.T) {
	w := newWorld(t)
	order := func(texts ...string) {
		var orders []*agentpb.BundleOrder
		for _, text := range texts {
			sum := bundle.Sum([]bundle.File{{Name: "a.hcl", Text: text}})
			w.texts[string(sum[:])] = text
			orders = append(orders, &agentpb.BundleOrder{Name: text, Version: 1, Digest: sum[:]})
		}
		w.Order(orders)
		w.step(t.Context())
	}
	order("old")
	w.end(true)
	order("old", "new")
	for range mostStarts + 1 {
		w.start()
	}
	if order("old", "new"); !slices.Equal(w.held, []string{"old"}) {
		t.Errorf("%q holds", w.held)
	}
	if order("old"); len(w.deadly) > 0 {
		t.Error("what nobody wants is remembered")
	}
}
