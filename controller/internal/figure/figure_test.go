package figure

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/promql"
	"github.com/salveops/salve/proto/agentpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crown says who leads.
type crown struct {
	mu      sync.Mutex
	leads   bool
	changed chan struct{}
}

func (c *crown) look() (bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads, c.changed
}

func (c *crown) set(leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leads = leads
	close(c.changed)
	c.changed = make(chan struct{})
}

// prometheus counts how often it was asked, and answers that for each of two hosts.
type prometheus struct {
	asked atomic.Int64
	ill   atomic.Bool
	held  atomic.Bool // it does not answer
	late  atomic.Bool // something before it keeps its answers
}

func (p *prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // or the server does not see that nobody waits any more
	n, at := p.asked.Add(1), time.Now()
	if p.late.Load() {
		at = at.Add(-2 * time.Minute)
	}
	switch {
	case p.held.Load():
		<-r.Context().Done()
	case p.ill.Load():
		w.WriteHeader(http.StatusBadGateway)
	default:
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[`+
			`{"metric":{"instance":"web-1"},"value":[%d,"%d"]},{"metric":{"instance":"web-2:80"},"value":[%[1]d,"NaN"]}]}}`,
			at.Unix(), n)
	}
}

// rig is a server that runs.
type rig struct {
	*Server
	t     *testing.T
	crown *crown
	told  *prometheus
	url   string
}

func start(t *testing.T) *rig {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, crown: &crown{changed: make(chan struct{})}, told: &prometheus{}}
	s := httptest.NewServer(r.told)
	t.Cleanup(s.Close)
	r.url = s.URL
	if r.Server, err = New(Options{Leads: r.crown.look, Clock: c}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) query(name string) Query {
	return Query{Name: name, Every: 20 * time.Millisecond, Window: time.Minute,
		Server: promql.Query{URL: r.url, Expr: "requests", Timeout: 10 * time.Second, Label: "instance"}}
}

// until asks for web-1's figure again and again.
func (r *rig) until(what string, ok func(f *agentpb.ReadFigureResponse, err error) bool) {
	r.t.Helper()
	over, ticker := time.After(time.Minute), time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		f, err := r.ReadFigure(r.t.Context(), &agentpb.ReadFigureRequest{Query: "orders", Host: "web-1"})
		if ok(f, err) {
			return
		}
		select {
		case <-over:
			r.t.Fatalf("not seen: %s; last %v, %v", what, f, err)
		case <-ticker.C:
		}
	}
}

func refused(code codes.Code) func(*agentpb.ReadFigureResponse, error) bool {
	return func(_ *agentpb.ReadFigureResponse, err error) bool { return status.Code(err) == code }
}

func known(f *agentpb.ReadFigureResponse, err error) bool { return err == nil && f.GetKnown() }

func TestFigures(t *testing.T) {
	r := start(t)
	r.Swap([]Query{r.query("orders")})
	r.until("nothing of a node that does not lead", refused(codes.FailedPrecondition))
	if n := r.told.asked.Load(); n > 0 {
		t.Errorf("a node that does not lead has asked %d times", n)
	}
	r.crown.set(true)
	r.until("a figure", known)
	var numbers []uint64
	r.until("new answers", func(f *agentpb.ReadFigureResponse, err error) bool {
		if err != nil || f.GetError() != "" || f.GetAge() < 0 || f.GetEvery() != int64(20*time.Millisecond) ||
			f.GetWindow() != int64(time.Minute) {
			t.Fatalf("%v, %v", f, err)
		}
		if !slices.Contains(numbers, f.GetAnswer()) {
			numbers = append(numbers, f.GetAnswer())
		}
		return len(numbers) == 3 && f.GetValue() >= 3
	})
	for _, host := range []string{"web-2", "web-3"} { // one without a number, one without an element
		f, err := r.ReadFigure(t.Context(), &agentpb.ReadFigureRequest{Query: "orders", Host: host})
		if err != nil || f.GetKnown() || f.GetError() != "" || f.GetValue() != 0 {
			t.Errorf("%s: %v, %v", host, f, err)
		}
	}
	if _, err := r.ReadFigure(t.Context(), &agentpb.ReadFigureRequest{Query: "others"}); status.Code(err) != codes.NotFound {
		t.Errorf("a query that is not there: %v", err)
	}

	r.told.ill.Store(true)
	r.until("why there is no answer", func(f *agentpb.ReadFigureResponse, _ error) bool {
		return !f.GetKnown() && strings.HasPrefix(f.GetError(), "status 502: ")
	})
	r.told.ill.Store(false)
	r.until("a figure again", known)
	r.told.late.Store(true)
	r.until("why an old answer is none", func(f *agentpb.ReadFigureResponse, _ error) bool {
		return !f.GetKnown() && strings.HasPrefix(f.GetError(), "the answer is 2m0s old")
	})
	r.told.late.Store(false)
	r.until("a new one", known)

	r.told.held.Store(true)
	r.crown.set(false)
	r.until("nothing once another node leads", refused(codes.FailedPrecondition))
	r.crown.set(true)
	r.until("nothing of what an earlier leader knew", func(f *agentpb.ReadFigureResponse, err error) bool {
		if f.GetKnown() {
			t.Fatalf("known: %v", f)
		}
		return err == nil && f.GetError() == "the server has not answered so far"
	})
	r.Swap(nil) // which ends the question that is not answered
	r.until("nothing of a query that is gone", refused(codes.NotFound))
}

// Reading the same file again does not make anything unknown.
func TestSameQueries(t *testing.T) {
	r := start(t)
	q := r.query("orders")
	q.Every = time.Hour
	r.Swap([]Query{q})
	r.crown.set(true)
	r.until("a figure", known)
	r.Swap([]Query{q})
	r.until("the same", known)
	q.Window = time.Hour
	r.Swap([]Query{q})
	r.until("another one", func(f *agentpb.ReadFigureResponse, err error) bool { return known(f, err) && f.GetValue() == 2 })
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Leads: (&crown{}).look}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is enough", o)
		}
	}
}
