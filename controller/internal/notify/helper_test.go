package notify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/controller/internal/state"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is where people are told, as strict as an incident manager: what was closed is not opened again, what is
// closed was open, and what has one name is one incident there.
type place struct {
	t      *testing.T
	manner pkgnotify.Manner

	mu     sync.Mutex
	fail   func(m pkgnotify.Message) error // nil: it takes everything
	gate   chan struct{}                   // set: each send waits for it
	got    []string                        // "kind key"
	texts  []pkgnotify.Message
	open   map[string]bool
	closed map[string]bool
	calls  int // times that people were called: openings, not repeats
	now    int // sends under way
	most   int
}

var _ pkgnotify.Sender = (*place)(nil)

func newPlace(t *testing.T) *place {
	return &place{t: t, open: map[string]bool{}, closed: map[string]bool{}}
}

func (p *place) Manner() pkgnotify.Manner { return p.manner }

func (p *place) Send(ctx context.Context, m pkgnotify.Message) error {
	p.mu.Lock()
	p.now++
	p.most = max(p.most, p.now)
	gate := p.gate
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		if err := p.fail(m); err != nil {
			return err
		}
	}
	p.take(m)
	return nil
}

// take is what the place does with a message that reached it.
func (p *place) take(m pkgnotify.Message) {
	name := cmp.Or(m.Dedup, m.Incident, m.Key)
	p.got, p.texts = append(p.got, string(m.Kind)+" "+m.Key), append(p.texts, m)
	switch {
	case m.Title == "" || m.Host == "" || m.Key == "" || m.Severity == "":
		p.t.Errorf("message %+v says too little", m)
	case m.Kind == pkgnotify.Resolve:
		if !p.open[name] && !p.closed[name] {
			p.t.Errorf("the end of %s, which nobody heard of", name)
		}
		p.open[name], p.closed[name] = false, true
	case p.closed[name]:
		p.t.Errorf("%s of %s came after its end", m.Kind, name)
	case !p.open[name]:
		p.open[name] = true
		p.calls++
	}
}

func (p *place) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func (p *place) last() pkgnotify.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.texts) == 0 {
		p.t.Fatal("nobody was told anything")
	}
	return p.texts[len(p.texts)-1]
}

func (p *place) failing(f func(m pkgnotify.Message) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = f
}

// member is one node: the real arbiter and courier over the shared log.
type member struct {
	*Courier
	t       *testing.T
	id      string
	journal *arbitertest.Journal
	seat    *arbitertest.Seat
	arbiter *arbiter.Arbiter
	data    string
	stop    func()

	mu     sync.Mutex
	quorum Quorum
	lost   time.Time // when the last contact was, if there is no leader
	cut    bool
	heard  []*reporter // hosts that ping this node
}

// CutOff is the arbiter's word, or the test's.
type arbiterWith struct {
	*arbiter.Arbiter
	m *member
}

func (a arbiterWith) CutOff() bool {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	return a.m.cut
}

func join(t *testing.T, j *arbitertest.Journal, id, data string, places Places, change func(*Options)) *member {
	t.Helper()
	m := &member{t: t, id: id, journal: j, seat: arbitertest.NewSeat(j, id), data: data, lost: time.Now()}
	watch := arbitertest.NewWatch(0)
	var err error
	m.arbiter, err = arbiter.New(arbiter.Options{Node: m.seat, Replica: j, Clock: watch, ID: id, Data: t.TempDir(),
		Address: func(id string) string { return id + ":7600" }})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Arbiter: arbiterWith{m.arbiter, m}, Replica: j, Clock: watch, ID: id, Data: data,
		Quorum: func() Quorum {
			m.mu.Lock()
			defer m.mu.Unlock()
			q := m.quorum
			if !q.Leader {
				q.Silent = time.Since(m.lost)
			}
			return q
		},
	}
	if change != nil {
		change(&o)
	}
	if m.Courier, err = New(o); err != nil {
		t.Fatal(err)
	}
	m.Swap(places)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.arbiter.Run(ctx) })
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	wg.Go(func() { m.listen(ctx, watch) })
	m.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(m.stop)
	return m
}

// hears makes a host ping this node.
func (m *member) hears(r *reporter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, r)
}

// listen takes the pings.
func (m *member) listen(ctx context.Context, watch *arbitertest.Watch) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
		m.mu.Lock()
		for _, r := range m.heard {
			m.arbiter.Heard(r.host, r.epoch, watch.Now().Boot)
		}
		m.mu.Unlock()
	}
}

// sees makes the node hear that leader, in that term; "" is none from now on.
func (m *member) sees(leader string, term uint64) {
	m.mu.Lock()
	if m.quorum.Leader && leader == "" {
		m.lost = time.Now()
	}
	m.quorum = Quorum{Leader: leader != "", Term: max(term, m.quorum.Term)}
	m.mu.Unlock()
	m.seat.Elect(leader, false)
	if leader == m.id {
		for {
			leads, changed := m.arbiter.Leads()
			if leads {
				break
			}
			<-changed
		}
	}
}

// must proposes what has to be answered without a refusal.
func (m *member) must(c *logpb.Command) *logpb.Result {
	m.t.Helper()
	r, _, err := m.arbiter.Propose(context.Background(), c)
	if err != nil || r.GetRefusal() != nil {
		m.t.Fatalf("%v: %v, %v", c, r, err)
	}
	return r
}

// ladder configures the default escalation: a step for each list of notifiers, a minute apart.
func (m *member) ladder(repeat uint32, steps ...[]string) {
	e := &logpb.Escalation{Name: "default"}
	for i, notify := range steps {
		e.Steps = append(e.Steps, &logpb.Step{After: int64(min(i, 1)) * int64(time.Minute), Notify: notify, Repeat: repeat})
	}
	m.must(&logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: m.id, Config: &logpb.Config{
		Digest: []byte(fmt.Sprint(repeat, steps)), Escalations: []*logpb.Escalation{e},
		Services: []*logpb.Service{{Name: "checkout", Autonomy: "full"}},
	}}}})
}

// reporter is a host that reports.
type reporter struct {
	m     *member
	host  string
	epoch uint64
	n     uint64
	fired map[string]uint64
}

func (m *member) host(id string) *reporter {
	m.t.Helper()
	w := m.must(&logpb.Command{What: &logpb.Command_Hello{Hello: &logpb.Hello{
		Host: id, Name: "web-" + id, Fingerprint: "f", BootId: "b", Nonce: "n", Stream: "s-" + id,
		Services: []*logpb.ServiceReport{{Service: "checkout", Serving: logpb.Serving_SERVING_YES}},
	}}}).GetWelcome()
	r := &reporter{m: m, host: id, epoch: w.GetEpoch(), fired: map[string]uint64{}}
	m.hears(r)
	return r
}

func (r *reporter) say(e *logpb.Event) {
	r.m.t.Helper()
	r.n++
	e.N = r.n
	r.m.must(&logpb.Command{What: &logpb.Command_Events{Events: &logpb.Events{
		Host: r.host, Epoch: r.epoch, Stream: "s-" + r.host, Event: []*logpb.Event{e},
	}}})
}

// fire reports an alert of the agent's incident and asks for people at once.
func (r *reporter) fire(local string) {
	r.m.t.Helper()
	r.say(&logpb.Event{What: &logpb.Event_Fired{Fired: &logpb.Alert{
		Key:  &logpb.AlertKey{Host: r.host, Stream: "s-" + r.host, N: r.n + 1},
		Rule: "slow", Service: "checkout", Severity: "critical", Condition: "metric.p99_latency > 800 ms",
		Values: []string{"metric.p99_latency = 2.1 s"}, Local: local, Instance: "checkout.service",
	}}})
	r.fired[local] = r.n
	r.say(&logpb.Event{What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{Local: local, Reason: "every remedy was tried"}}})
}

// resolve reports that it ended.
func (r *reporter) resolve(local string) {
	r.m.t.Helper()
	r.say(&logpb.Event{What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{
		Key: &logpb.AlertKey{Host: r.host, Stream: "s-" + r.host, N: r.fired[local]},
	}}})
}

// settle lets what is going on come to rest, after so long.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// incidents are all that the log knows.
func incidents(j *arbitertest.Journal) (out []*logpb.Incident) {
	j.View(func(s *state.State) { out = s.Incidents() })
	return out
}

func deliveries(j *arbitertest.Journal, incident string) (out []string) {
	j.View(func(s *state.State) {
		for _, d := range s.DeliveriesOf(incident) {
			out = append(out, fmt.Sprintf("%s %s %s", d.GetNotifier(), d.GetKind(), d.GetState().String()[len("DELIVERY_STATE_"):]))
		}
	})
	return out
}
