package session_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/agent/internal/session/linetest"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ticking is a machine's clock on the bubble's time.
type ticking struct {
	start time.Time
	id    string
}

func (c *ticking) Now() clock.Instant {
	now := time.Now()
	return clock.Instant{Boot: now.Sub(c.start) + time.Hour, Wall: now}
}

func (c *ticking) BootID() string { return c.id }

// rig is an agent's line with the real journal, and a strict node.
type rig struct {
	*linetest.Server
	t       *testing.T
	dir     string
	clock   *ticking
	journal *journal.Journal
	outbox  *journal.Outbox
	*session.Session
	stop    context.CancelFunc
	done    chan struct{}
	change  func(*session.Options)
	attempt int
	mute    bool // it does not know what it serves

	mu     sync.Mutex
	orders []session.Orders // as they came to hold
	deny   error            // nobody can follow them
	moved  []string
}

// online runs a test in a bubble, with a session that is established.
func online(t *testing.T, test func(*rig)) {
	t.Helper()
	offline(t, func(r *rig) {
		r.start()
		r.connected()
		test(r)
	})
}

// offline runs it before the agent is started.
func offline(t *testing.T, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, Server: linetest.New(t), dir: t.TempDir(), clock: &ticking{time.Now(), "boot-1"},
			change: func(*session.Options) {}}
		defer r.kill()
		test(r)
	})
}

// start is a process on what the disk has.
func (r *rig) start() {
	r.t.Helper()
	j, _, err := journal.Open(filepath.Join(r.dir, "state"), journal.Options{Clock: r.clock})
	if err != nil {
		r.t.Fatal(err)
	}
	r.journal = j
	if r.outbox, err = j.Outbox(); err != nil {
		r.t.Fatal(err)
	}
	past, err := j.PermittedAttempts()
	if err != nil {
		r.t.Fatal(err)
	}
	o := session.Options{
		Host: j.Host(), Name: "web-1", Fingerprint: "print", Version: "1", Labels: map[string]string{"zone": "a"},
		Addresses: []string{"node-1", "node-2"}, Clock: r.clock, Log: hclog.NewNullLogger(), Store: j.Space("session"),
		Outbox: r.outbox, Dial: r.Dial, Past: session.Restore(past), Orders: r.follow, Jitter: func() float64 { return 0.5 },
		Moved: func(from string, numbers map[uint64]uint64) {
			r.moved = append(r.moved, fmt.Sprint(len(from), numbers))
		},
	}
	r.change(&o)
	if r.Session, err = session.New(o); err != nil {
		r.t.Fatal(err)
	}
	if !r.mute {
		r.serves(logpb.Serving_SERVING_YES)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan struct{})
	go func() {
		defer close(r.done)
		if err := r.Run(ctx); err != nil {
			r.t.Errorf("session: %v", err)
		}
	}()
}

// kill ends the process.
func (r *rig) kill() {
	if r.stop == nil {
		return
	}
	r.stop()
	<-r.done
	r.stop = nil
	if err := r.journal.Close(); err != nil {
		r.t.Logf("close journal: %v", err)
	}
}

func (r *rig) restart() {
	r.kill()
	r.start()
}

// follow is the engine that takes over standing orders.
func (r *rig) follow(_ context.Context, o session.Orders) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deny != nil {
		return r.deny
	}
	r.orders = append(r.orders, o)
	return nil
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until lets time pass until done, at most so long.
func (r *rig) until(what string, most time.Duration, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(most); !done(); r.pass(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("after %v: not %s; %+v\n%s", most, what, r.State(), r.Log())
		}
	}
}

func (r *rig) connected() {
	r.t.Helper()
	r.until("connected", 2*time.Minute, func() bool { return r.State().Live && r.Live(r.journal.Host()) })
	synctest.Wait()
}

// serves says what this host serves of the service web.
func (r *rig) serves(s logpb.Serving) {
	r.Serving([]*logpb.ServiceReport{{Service: "web", Serving: s, DependsOn: []string{"db"}, Detection: 1e9}})
}

func (r *rig) now() time.Duration { return r.clock.Now().Boot }

// newAsk is what another attempt asks for.
func (r *rig) newAsk() permit.Ask {
	r.attempt++
	return permit.Ask{
		Attempt: fmt.Sprintf("attempt-%d", r.attempt), Incident: "incident", Service: "web", Rule: "ill", Remedy: "restart",
		Digest: []byte{1}, Targets: []permit.Target{{Service: "web", Host: r.journal.Host()}},
		Claims: []permit.Claim{{Service: "web", Serving: logpb.Serving_SERVING_YES}},
	}
}

func (r *rig) facts() permit.Facts {
	return permit.Facts{Claims: []permit.Claim{{Service: "web", Serving: logpb.Serving_SERVING_YES}}}
}

// granted asks, and returns the attempt.
func (r *rig) granted() permit.Ask {
	r.t.Helper()
	a := r.newAsk()
	if err := r.Ask(context.Background(), a); err != nil {
		r.t.Fatalf("ask: %v", err)
	}
	return a
}

// acts begins and acts, with the intent on disk in between as it must be.
func (r *rig) acts(a permit.Ask) {
	r.t.Helper()
	held, err := r.Begin(a.Attempt, r.facts())
	if err != nil {
		r.t.Fatalf("begin: %v", err)
	}
	r.intent(a, held, incident.Intended)
	if err := r.Act(a.Attempt, r.facts()); err != nil {
		r.t.Fatalf("act: %v", err)
	}
}

func (r *rig) intent(a permit.Ask, held permit.Held, phase incident.Phase) {
	r.t.Helper()
	if err := r.journal.PutAttempt(&incident.Attempt{
		ID: a.Attempt, Incident: a.Incident, Service: a.Service, Rule: a.Rule, Remedy: a.Remedy, Phase: phase,
		Intended: clock.Now(r.clock), Permit: &held,
	}); err != nil {
		r.t.Fatal(err)
	}
}

// refused asks, and returns the code of the refusal.
func (r *rig) refused() string {
	r.t.Helper()
	err := r.Ask(context.Background(), r.newAsk())
	var no *session.Refusal
	if !errors.As(err, &no) {
		return fmt.Sprint("no refusal: ", err)
	}
	return no.Code
}

// wantLog compares what the node has seen since the last call, hellos and edges left out.
func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for line := range strings.Lines(r.Log()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "hello ") && line != "" {
			got = append(got, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.t.Errorf("the node has seen\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fires puts an alert into the outbox.
func (r *rig) fires(rule string) uint64 {
	r.t.Helper()
	n := r.outbox.AddAlert(func(incident.AlertKey) *logpb.Alert {
		return &logpb.Alert{Rule: rule, Service: "web", Local: "l-" + rule}
	}).N
	if err := r.outbox.Commit(); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// told are the rules of the alerts that the node has, in order.
func (r *rig) told() string {
	synctest.Wait()
	var out []string
	for _, ev := range r.Events(r.journal.Host()) {
		if a := ev.GetFired(); a != nil {
			out = append(out, a.GetRule())
		}
	}
	return strings.Join(out, " ")
}

func evidenceOf(title, text string) []incident.Evidence {
	return []incident.Evidence{{Title: title, Text: text}}
}

// Serving is the session's, not the node's.
func (r *rig) Serving(reports []*logpb.ServiceReport) { r.Session.Serving(reports) }
