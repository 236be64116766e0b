package query

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/agentpb"
)

// told is what a controller says of a query that it asks every ten seconds.
func told(change func(*agentpb.ReadFigureResponse)) *agentpb.ReadFigureResponse {
	r := &agentpb.ReadFigureResponse{Known: true, Value: 3, Answer: 7, Age: int64(2 * time.Second),
		Every: int64(10 * time.Second), Window: int64(time.Minute)}
	change(r)
	return r
}

func TestRelay(t *testing.T) {
	now := clock.Instant{Boot: time.Hour}
	fine := figure{value: 3, known: true, at: time.Hour - 2*time.Second}
	tests := []struct {
		name   string
		change func(*agentpb.ReadFigureResponse)
		want   figure
		err    string
	}{
		{"fine", func(*agentpb.ReadFigureResponse) {}, fine, ""},
		{"oldest", func(r *agentpb.ReadFigureResponse) { r.Age = int64(30 * time.Second) },
			figure{value: 3, known: true, at: time.Hour - 30*time.Second}, ""},
		{"too old", func(r *agentpb.ReadFigureResponse) { r.Age = int64(30*time.Second + 1) }, figure{}, "is 30s old"},
		{"unknown", func(r *agentpb.ReadFigureResponse) { r.Known, r.Value = false, 0 },
			figure{at: time.Hour - 2*time.Second}, ""},
		{"failed", func(r *agentpb.ReadFigureResponse) { r.Error = "status 500" }, figure{}, "the controller: status 500"},
		{"asked more often", func(r *agentpb.ReadFigureResponse) { r.Every = int64(9 * time.Second) }, fine, ""},
		{"asked less often", func(r *agentpb.ReadFigureResponse) { r.Every++ }, figure{}, "say so with every"},
		{"looks farther back", func(r *agentpb.ReadFigureResponse) { r.Window++ }, figure{}, "say so with window"},
		{"of the future", func(r *agentpb.ReadFigureResponse) { r.Age = -1 }, figure{}, "makes no sense"},
		{"no period", func(r *agentpb.ReadFigureResponse) { r.Every = 0 }, figure{}, "makes no sense"},
		{"no window", func(r *agentpb.ReadFigureResponse) { r.Window = -1 }, figure{}, "makes no sense"},
		{"no number", func(r *agentpb.ReadFigureResponse) { r.Value = math.NaN() }, figure{}, "makes no sense"},
		{"infinite", func(r *agentpb.ReadFigureResponse) { r.Value = math.Inf(1) }, figure{}, "makes no sense"},
	}
	for _, tt := range tests {
		r := &relay{target: Target{Name: "orders", Every: 10 * time.Second, Window: time.Minute},
			controller: func(_ context.Context, query string) (*agentpb.ReadFigureResponse, error) {
				if query != "orders" {
					t.Errorf("asked for %s", query)
				}
				return told(tt.change), nil
			}}
		got, err := r.ask(t.Context(), now)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
		}
		if got.value != tt.want.value || got.known != tt.want.known || got.at != tt.want.at || got.again {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if again, _ := r.ask(t.Context(), now); again.again != (err == nil && got.known) {
			t.Errorf("%s: the same answer is told as %+v", tt.name, again)
		}
	}
}

// An answer is one sample, however often it is told; without a controller nothing is known.
func TestRelayed(t *testing.T) {
	answers := make(chan *agentpb.ReadFigureResponse)
	ask := func(ctx context.Context, _ string) (*agentpb.ReadFigureResponse, error) {
		select {
		case r := <-answers:
			if r == nil {
				return nil, errors.New("no session")
			}
			return r, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w := sourcetest.Watch(t, open(ask), Target{Name: "orders", Every: 20 * time.Second, Window: time.Minute})
	answers <- told(func(*agentpb.ReadFigureResponse) {})
	w.Until("the figure", tells(3.0))
	w.SetTargets(nil)
	w.Until("unknown once nobody asks", tells(nil))
	w.SetTargets([]Target{{Name: "orders", Every: 20 * time.Second, Window: time.Minute}})
	answers <- nil
	w.Until("unknown without a session", tells(nil))
	fails(t, w, "ask the controller: no session")
}

// The same answer once more is no sample.
func TestSameAnswer(t *testing.T) {
	asked := make(chan struct{}, 64)
	ask := func(context.Context, string) (*agentpb.ReadFigureResponse, error) {
		asked <- struct{}{}
		return told(func(r *agentpb.ReadFigureResponse) { r.Every = 1; r.Age = 0 }), nil
	}
	w := sourcetest.Watch(t, open(ask), Target{Name: "orders", Every: 20 * time.Millisecond, Window: time.Minute})
	w.Until("the figure", tells(3.0))
	for range 3 {
		<-asked
	}
	w.SetTargets(nil)
	w.Until("nothing between the first answer and the end", func(r sourcetest.Round) bool {
		if len(r) > 0 {
			t.Errorf("told again: %v", r)
		}
		return true
	})
}
