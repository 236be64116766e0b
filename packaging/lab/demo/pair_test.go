package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/packaging/lab/rig/rigtest"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

func TestPairTable(t *testing.T) {
	r := pairResult{title: "one at a time", fault: noon, end: "resolved", outside: "both are new"}
	r.markAt("refused", noon.Add(512*time.Millisecond))
	r.markAt("granted", noon.Add(4020*time.Millisecond))
	bad := pairResult{title: "a person helps", fault: noon, err: errors.New("no page\nin time")}
	bad.markAt("told", noon.Add(3*time.Second))
	want := []string{
		"story           ms after the fault          end                seen from outside",
		"one at a time   refused 512 → granted 4020  resolved           both are new",
		"a person helps  told 3000                   NOT AS IT MUST BE  no page; in time",
	}
	got := strings.Split(strings.TrimRight(pairTable([]pairResult{r, bad}), "\n"), "\n")
	for i, line := range got {
		if i >= len(want) || line != want[i] {
			t.Errorf("line %d is %q", i+1, line)
		}
	}
	if bad.line() != "NOT AS IT MUST BE: no page; in time" || r.line() != "resolved: both are new" {
		t.Errorf("in a sentence: %q, %q", bad.line(), r.line())
	}
}

// A host that is cold takes its time to start, each start is counted, and a broken configuration lets none succeed.
func TestShopHost(t *testing.T) {
	m := agenttest.Manager(t)
	h := &shopHost{name: "web-1", dir: t.TempDir(), manager: m}
	other := &shopHost{name: "web-2", dir: t.TempDir(), manager: m}
	s := &pair{ground: ground{opts: Options{Service: rigtest.Service(t)}}, hosts: [2]*shopHost{h, other}}
	if err := s.admit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.starts() != 1 {
		t.Errorf("after its start it was started %d times", h.starts())
	}
	if err := h.cold(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Systemctl("restart", "--no-block", h.patient.Unit()); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool { return h.starts() == 2 }, "the second start")
	if state, err := m.Property(h.patient.Unit(), "ActiveState"); err != nil || state != "activating" {
		t.Errorf("while it is cold it is %s, %v", state, err)
	}
	if err := h.warm(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.patient.AwaitAny(t.Context()); err != nil {
		t.Error(err)
	}
	play := &pairPlay{pair: s, pairResult: &pairResult{}, ctx: t.Context()}
	if err := play.breakConfig(h); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool {
		state, err := m.Property(h.patient.Unit(), "ActiveState")
		return err == nil && state == "failed"
	}, "the crash")
	if _, err := m.Systemctl("start", h.patient.Unit()); err == nil {
		t.Error("it started with a broken configuration")
	}
	if h.starts() != 3 {
		t.Errorf("it was started %d times, want three", h.starts())
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]bool{
		"restart-failing-shop waits for its permit: 1 of 2 hosts of shop may be under repair at once; 1 are, and this takes 1": true,
		"restart-failing-shop waits for its permit: all of shop is paused by me":                                               false,
		"permit 3@0a for restart-shop on web-2":                                                                                false,
	} {
		if got := refused(&localpb.TimelineEvent{Text: text}); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestTokenOf(t *testing.T) {
	r := &adminpb.ListPermitsResponse{
		Permits: []*logpb.Permit{{Token: &logpb.Token{Generation: "0a1b2c3d4e", N: 7}, Host: "id2"}},
		Names:   []*adminpb.HostName{{Id: "id1", Name: "web-1"}, {Id: "id2", Name: "web-2"}},
	}
	for host, want := range map[string]string{"web-1": "", "web-2": "7@0a1b2c3d", "web-3": ""} {
		if got := tokenOf(r, host); got != want {
			t.Errorf("the permit of %s is %q, want %q", host, got, want)
		}
	}
}

func TestTellsAll(t *testing.T) {
	good := rig.Page{}
	good.Host, good.Details = "web-2", "12:00 web-2 alert"
	good.Summary = "start-shop: ineffective\nThe whole story: salve explain 0a"
	h := &shopHost{name: "web-2"}
	if err := tellsAll(h, good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*rig.Page){
		"host":     func(m *rig.Page) { m.Host = "web-1" },
		"attempts": func(m *rig.Page) { m.Summary = "salve explain 0a" },
		"way on":   func(m *rig.Page) { m.Summary = "start-shop" },
		"timeline": func(m *rig.Page) { m.Details = "" },
	} {
		bad := good
		if spoil(&bad); tellsAll(h, bad) == nil {
			t.Errorf("without the right %s it is content", name)
		}
	}
}

// Customers miss only what nobody answers.
func TestCustomers(t *testing.T) {
	var down [2]atomic.Bool
	var patients []*rig.Patient
	for i := range down {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Service-Pid", "7")
			if down[i].Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
		defer srv.Close()
		patients = append(patients, rig.NewPatient("p", strings.TrimPrefix(srv.URL, "http://")))
	}
	c := &customers{}
	for _, step := range []struct{ first, second, miss bool }{
		{false, false, false}, {true, false, false}, {false, true, false}, {true, true, true},
	} {
		down[0].Store(step.first)
		down[1].Store(step.second)
		c.begin()
		c.ask(t.Context(), patients)
		if asked, missed := c.count(); asked != 1 || (missed == 1) != step.miss {
			t.Errorf("%+v: %d asked, %d missed", step, asked, missed)
		}
	}
	served := serve(patients...)
	agenttest.Eventually(t, func() bool { n, _ := served.count(); return n > 2 }, "customers")
	served.leave()
}

// fakeController says its lines, then breaks the stream off, and says them again to whoever comes back.
type fakeController struct {
	adminpb.UnimplementedAdminServer
	mu    sync.Mutex
	lines []*adminpb.WatchResponse
	more  chan struct{}
}

func (f *fakeController) Watch(_ *adminpb.WatchRequest, out grpc.ServerStreamingServer[adminpb.WatchResponse]) error {
	f.mu.Lock()
	lines, more := f.lines, f.more
	f.mu.Unlock()
	for _, l := range lines {
		if err := out.Send(l); err != nil {
			return err
		}
	}
	select {
	case <-more:
	case <-out.Context().Done():
	}
	return nil
}

func (f *fakeController) say(at int64, host, text string, hostAt int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, &adminpb.WatchResponse{Incident: "i", Service: shop, Event: &logpb.TimelineEvent{
		At: at, HostAt: hostAt, HostName: host, Type: "permit", Text: text,
	}})
	if f.more != nil {
		close(f.more)
	}
	f.more = make(chan struct{})
}

func TestVoice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeController{}
	f.say(5, "", "of another story", 0)
	srv := grpc.NewServer()
	adminpb.RegisterAdminServer(srv, f)
	go func() { _ = srv.Serve(l) }()
	defer srv.Stop()
	var out strings.Builder
	v, err := listenTo(l.Addr().String(), &out)
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool {
		v.scope.Lock()
		defer v.scope.Unlock()
		return v.last == 5
	}, "the first line")
	v.beginAt(time.Now())
	f.say(7, "web-1", "permit 1@0a for restart on web-1", 0)
	f.say(7, "web-2", "what the host says itself", 6)
	f.say(7, "web-2", "permit 2@0a for restart on web-2", 0)
	f.say(8, "web-1", "permit 1@0a is settled: serving", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := v.await(ctx, "settlement", func(r *adminpb.WatchResponse) bool { return r.GetEvent().GetAt() == 8 }); err != nil {
		t.Error(err)
	}
	v.finish()
	if err := v.close(); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]int{"permit": 6, "controller": 3, "itself": 0, "another": 0} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q was printed %d times, want %d:\n%s", text, got, want, out.String())
		}
	}
}

func TestUntilGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := until(ctx, "nothing", func() bool { return false })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("error is %v", err)
	}
}
