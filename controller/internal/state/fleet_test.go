package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// fleet drives a state the way the log does, one command an entry, with names for hosts and services.
type fleet struct {
	t     *testing.T
	s     *State
	index uint64
	at    int64
	epoch map[string]uint64
	n     map[string]uint64
	nonce int
	quick bool // do not check after every step
}

const second = int64(1e9)

// newFleet is a cluster in its first generation, with one hour on its clock.
func newFleet(t *testing.T, services ...*logpb.Service) *fleet {
	f := &fleet{t: t, s: New(), at: 3600 * second, epoch: map[string]uint64{}, n: map[string]uint64{}}
	f.must(&logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
		Id: "11111111111111111111111111111111", Reason: "bootstrap", Bootstrap: true}}})
	f.configure(&logpb.Config{Services: services})
	return f
}

func (f *fleet) configure(c *logpb.Config) {
	c.Digest = fmt.Appendf(nil, "digest at %d", f.index)
	f.must(&logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "ctl-1", Config: c}}})
}

// batch applies commands as one entry and checks what must hold after every step.
func (f *fleet) batch(cs ...*logpb.Command) []*logpb.Result {
	f.t.Helper()
	f.index++
	rs, err := f.s.Apply(f.index, &logpb.Entry{Format: 1, At: f.at, Node: "ctl-1", Commands: cs})
	if err != nil {
		f.t.Fatal(err)
	}
	f.check()
	return rs
}

func (f *fleet) apply(c *logpb.Command) *logpb.Result { f.t.Helper(); return f.batch(c)[0] }

func (f *fleet) must(c *logpb.Command) *logpb.Result {
	f.t.Helper()
	r := f.apply(c)
	if r.GetRefusal() != nil {
		f.t.Fatalf("refused: %v", r.GetRefusal())
	}
	return r
}

// check is max-unavailable by the facts in the state.
func (f *fleet) check() {
	f.t.Helper()
	if f.quick {
		return
	}
	for name := range f.s.derived.services {
		if v := f.s.Service(name); len(v.Acting) > max(v.Cap, 1) && f.s.config.GetFleetMax() < 100 {
			f.t.Errorf("%s: %v are acting and the cap is %d", name, v.Acting, v.Cap)
		}
	}
	sound(f.t, f.s)
}

// hello begins a session of a host that serves its services.
func (f *fleet) hello(host string, services ...string) *logpb.Welcome {
	f.t.Helper()
	h := f.greet(host, services...)
	r := f.must(h)
	f.epoch[host], f.n[host] = r.GetWelcome().GetEpoch(), 0
	for id, e := range f.epoch {
		if h := f.s.hosts[id]; !h.GetLost() && !h.GetRemoved() && e == h.GetEpoch() {
			f.confirm(id)
		}
	}
	return r.GetWelcome()
}

// confirm says that a host has the standing orders on its disk.
func (f *fleet) confirm(host string) {
	f.t.Helper()
	f.must(&logpb.Command{What: &logpb.Command_ConfirmStanding{ConfirmStanding: &logpb.ConfirmStanding{Host: host,
		Epoch: f.epoch[host], Generation: f.s.generation, Index: f.index}}})
}

// greet is the hello of an agent whose journal knows all that happened.
func (f *fleet) greet(host string, services ...string) *logpb.Command {
	f.nonce++
	h := &logpb.Hello{
		Host: host, Name: host, Fingerprint: "print of " + host, BootId: "boot-1", LastEpoch: f.epoch[host],
		Nonce: fmt.Sprint("nonce-", f.nonce), Stream: "stream of " + host, LastEvent: 1000,
		Generation: f.s.generation, Index: f.index - 1, NewStream: fmt.Sprint("stream-", f.nonce),
		NewGeneration: fmt.Sprintf("%032d", f.nonce),
	}
	for _, s := range services {
		h.Services = append(h.Services, &logpb.ServiceReport{Service: s, Serving: logpb.Serving_SERVING_YES})
	}
	return &logpb.Command{What: &logpb.Command_Hello{Hello: h}}
}

// ask is a host's next request for a restart of its service.
func (f *fleet) ask(host, service string, mods ...func(*logpb.Request)) *logpb.Command {
	f.n[host]++
	r := &logpb.Request{Host: host, Epoch: f.epoch[host], N: f.n[host], Service: service, Rule: "slow",
		Remedy: "restart-app", Digest: []byte("digest")}
	for _, m := range mods {
		m(r)
	}
	return &logpb.Command{What: &logpb.Command_Request{Request: r}}
}

func (f *fleet) granted(host, service string, mods ...func(*logpb.Request)) *logpb.Grant {
	f.t.Helper()
	return f.must(f.ask(host, service, mods...)).GetGrant()
}

func (f *fleet) refused(code, host, service string, mods ...func(*logpb.Request)) *logpb.Refusal {
	f.t.Helper()
	return f.code(code, f.apply(f.ask(host, service, mods...)))
}

// code expects a refusal of this kind.
func (f *fleet) code(code string, r *logpb.Result) *logpb.Refusal {
	f.t.Helper()
	if r.GetRefusal().GetCode() != code {
		f.t.Fatalf("the answer is %v, want a refusal %q", r, code)
	}
	return r.GetRefusal()
}

func (f *fleet) settles(host string, g *logpb.Grant, how logpb.Settlement, claims ...*logpb.ServiceReport) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Settle{Settle: &logpb.Settle{Host: host, SessionEpoch: f.epoch[host],
		Token: g.GetToken(), Epoch: g.GetEpoch(), Settlement: how, Claims: claims}}}
}

func (f *fleet) settle(host string, g *logpb.Grant, how logpb.Settlement, claims ...*logpb.ServiceReport) {
	f.t.Helper()
	f.must(f.settles(host, g, how, claims...))
}

func (f *fleet) edge(host, service string, serving logpb.Serving) {
	f.t.Helper()
	f.must(&logpb.Command{What: &logpb.Command_Edges{Edges: &logpb.Edges{Edge: []*logpb.Edge{
		{Host: host, Epoch: f.epoch[host], Service: service, Serving: serving}}}}})
}

func (f *fleet) lose(host string, lost bool) {
	f.t.Helper()
	f.must(&logpb.Command{What: &logpb.Command_Edges{Edges: &logpb.Edges{Edge: []*logpb.Edge{{Host: host, Lost: lost}}}}})
}

// fires and calms are a rule's alert on a host.
func (f *fleet) fires(host, service, rule string, n uint64) {
	f.t.Helper()
	f.events(host, &logpb.Event{N: n, What: &logpb.Event_Fired{Fired: &logpb.Alert{
		Key: f.key(host, n), Rule: rule, Service: service, Severity: "critical", Local: "local of " + host}}})
}

func (f *fleet) calms(host string, n, fired uint64) {
	f.t.Helper()
	f.events(host, &logpb.Event{N: n, What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{Key: f.key(host, fired)}}})
}

func (f *fleet) key(host string, n uint64) *logpb.AlertKey {
	return &logpb.AlertKey{Host: host, Stream: f.s.Host(host).GetStream(), N: n}
}

func (f *fleet) events(host string, es ...*logpb.Event) {
	f.t.Helper()
	f.must(&logpb.Command{What: &logpb.Command_Events{Events: &logpb.Events{Host: host, Epoch: f.epoch[host],
		Stream: f.s.Host(host).GetStream(), Event: es}}})
}

func (f *fleet) pause(scope string) string {
	f.t.Helper()
	return f.must(&logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{Scope: scope, By: "ann",
		Reason: "maintenance"}}}).GetId()
}

func (f *fleet) resumes(pause string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{Pause: pause, By: "ann"}}}
}

// restore is the state of an older snapshot, in a new generation.
func (f *fleet) restore(old *logpb.Snapshot, generation string) {
	f.t.Helper()
	s, err := Restore(old)
	if err != nil {
		f.t.Fatal(err)
	}
	f.s = s
	f.must(&logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: generation,
		Reason: "restored"}}})
}

// indices compares the derived tables with new ones.
func (f *fleet) indices() {
	f.t.Helper()
	before := fmt.Sprint(f.s.derived)
	f.s.rebuild()
	if after := fmt.Sprint(f.s.derived); before != after {
		f.t.Errorf("the indices are\n%s\nand follow as\n%s", before, after)
	}
}

func (f *fleet) acting(service string, want ...string) {
	f.t.Helper()
	if got := f.s.Service(service).Acting; !slices.Equal(got, want) {
		f.t.Errorf("%v act on %s, want %v", got, service, want)
	}
}

func service(name string, most uint32) *logpb.Service {
	return &logpb.Service{Name: name, MaxUnavailable: &most, Autonomy: "full"}
}

func serving(name string) *logpb.ServiceReport {
	return &logpb.ServiceReport{Service: name, Serving: logpb.Serving_SERVING_YES}
}

func down(name string) *logpb.ServiceReport {
	return &logpb.ServiceReport{Service: name, Serving: logpb.Serving_SERVING_DOWN}
}

func claims(rs ...*logpb.ServiceReport) func(*logpb.Request) {
	return func(r *logpb.Request) { r.Claims = rs }
}

// sameToken reports whether two grants are one.
func sameToken(a, b *logpb.Grant) bool {
	return tokenOf(a.GetToken()) == tokenOf(b.GetToken()) && a.GetEpoch() == b.GetEpoch() &&
		bytes.Equal([]byte(a.GetToken().GetGeneration()), []byte(b.GetToken().GetGeneration()))
}
