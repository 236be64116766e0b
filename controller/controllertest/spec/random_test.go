package spec_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// chooser draws commands of which most are in order, and the others are wrong in one thing.
type chooser struct {
	t     *rapid.T
	s     *state.State
	index uint64
	at    int64
	nonce int
}

func (c *chooser) chance(percent int) bool {
	return rapid.IntRange(0, 99).Draw(c.t, "chance") < percent
}

func (c *chooser) of(what string, names ...string) string {
	return rapid.SampledFrom(names).Draw(c.t, what)
}

func (c *chooser) host() string { return c.of("host", "a", "b", "c", "d", "e") }

func (c *chooser) service() string { return c.of("service", "web", "db") }

func (c *chooser) epoch(host string) uint64 {
	e := c.s.Host(host).GetEpoch()
	if c.chance(5) && e > 0 {
		e -= uint64(rapid.IntRange(0, 1).Draw(c.t, "older"))
	}
	return e
}

func (c *chooser) serving() logpb.Serving {
	return rapid.SampledFrom([]logpb.Serving{logpb.Serving_SERVING_YES, logpb.Serving_SERVING_YES,
		logpb.Serving_SERVING_YES,
		logpb.Serving_SERVING_DOWN, logpb.Serving_SERVING_HELD, logpb.Serving_SERVING_UNSPECIFIED}).Draw(c.t, "serving")
}

func (c *chooser) report(service string) *logpb.ServiceReport {
	return &logpb.ServiceReport{Service: service, Serving: c.serving()}
}

// token is that of an open permit, or of none.
func (c *chooser) permit() *logpb.Permit {
	open := c.s.Permits()
	if len(open) == 0 || c.chance(3) {
		return &logpb.Permit{Token: &logpb.Token{Generation: c.s.Generation(), N: 3}, Host: c.host(), Epoch: 1}
	}
	return open[rapid.IntRange(0, len(open)-1).Draw(c.t, "permit")]
}

func (c *chooser) command() *logpb.Command {
	draw := rapid.IntRange(0, 99).Draw(c.t, "command")
	switch {
	case draw < 30:
		return &logpb.Command{What: &logpb.Command_Request{Request: c.request()}}
	case draw < 55:
		return &logpb.Command{What: &logpb.Command_Settle{Settle: c.settle()}}
	case draw < 67:
		return &logpb.Command{What: &logpb.Command_Edges{Edges: &logpb.Edges{Edge: []*logpb.Edge{c.edge(), c.edge()}}}}
	case draw < 79:
		return &logpb.Command{What: &logpb.Command_Hello{Hello: c.hello()}}
	}
	return c.rare(draw)
}

func (c *chooser) rare(draw int) *logpb.Command {
	p := c.permit()
	switch {
	case draw < 82:
		return &logpb.Command{What: &logpb.Command_Revoke{Revoke: &logpb.Revoke{Token: p.GetToken(), By: "ann"}}}
	case draw < 84:
		return &logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{Token: p.GetToken(),
			By: "ann"}}}
	case draw < 87:
		return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{By: "ann", Reason: "work",
			Scope: c.of("scope", "all", "host:a", "service:web", "service:db"),
			For:   int64(rapid.IntRange(0, 3).Draw(c.t, "for")) * 5e9}}}
	case draw < 91:
		return &logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{By: "ann",
			Pause: c.of("resumed", "all", "service:web", "host:a", "pause-1", "pause-2")}}}
	case draw < 92:
		return &logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: &logpb.RemoveHost{Host: c.host(), By: "ann",
			Gone: c.chance(50)}}}
	case draw < 93:
		return &logpb.Command{What: &logpb.Command_AdoptHost{AdoptHost: &logpb.AdoptHost{Host: c.host(), By: "ann",
			Fingerprint: c.of("fingerprint", "", "", "clone")}}}
	case draw < 96:
		host := c.host()
		return &logpb.Command{What: &logpb.Command_ConfirmStanding{ConfirmStanding: &logpb.ConfirmStanding{Host: host,
			Epoch: c.epoch(host), Generation: c.s.Generation(), Index: c.index}}}
	case draw < 97:
		return &logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}}
	case draw < 98:
		return &logpb.Command{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{
			Id: fmt.Sprintf("%032d", c.index), Reason: "restored", Bootstrap: c.chance(10)}}}
	}
	return &logpb.Command{What: &logpb.Command_Configure{Configure: c.configure()}}
}

func (c *chooser) configure() *logpb.Configure {
	n := uint32(rapid.IntRange(0, 4).Draw(c.t, "cap"))
	web := &logpb.Service{Name: "web", MaxUnavailable: &n, Autonomy: c.of("autonomy", "full", "full", "observe")}
	if c.chance(40) {
		parts := n * 230_000
		web.MaxUnavailable, web.MaxUnavailableShare = nil, &parts
	}
	return &logpb.Configure{By: "ctl-1", Config: &logpb.Config{Services: []*logpb.Service{web},
		Digest: fmt.Append(nil, c.index), FleetMax: uint32(rapid.IntRange(0, 6).Draw(c.t, "fleet_max"))}}
}

func (c *chooser) request() *logpb.Request {
	host := c.host()
	h := c.s.Host(host)
	r := &logpb.Request{Host: host, Epoch: c.epoch(host), N: h.GetLastN() + 1, Rule: c.of("rule", "slow", "slow", "dead"),
		Remedy: "restart", Digest: []byte(c.of("digest", "1", "1", "2")), Service: c.service()}
	switch rapid.IntRange(0, 19).Draw(c.t, "odd") {
	case 0:
		r.N = uint64(rapid.IntRange(0, 3).Draw(c.t, "n"))
	case 1:
		r.Service = ""
	case 2:
		r.Targets = []*logpb.Target{{Service: c.service(), Host: c.host()}}
	case 3:
		r.Targets = []*logpb.Target{{Resource: "cache"}}
	case 4:
		r.Undo = true
	case 5:
		r.By = "ann"
	case 6, 7:
		r.WholeHost = true
	}
	if c.chance(30) {
		r.Claims = []*logpb.ServiceReport{c.report(c.service())}
	}
	return r
}

func (c *chooser) settle() *logpb.Settle {
	p := c.permit()
	x := &logpb.Settle{Host: p.GetHost(), SessionEpoch: c.epoch(p.GetHost()), Token: proto.CloneOf(p.GetToken()),
		Epoch: p.GetEpoch()}
	x.Settlement = logpb.Settlement(rapid.IntRange(0, 5).Draw(c.t, "settlement"))
	if p.GetUnknown() && c.chance(70) {
		x.Settlement = logpb.Settlement_SETTLEMENT_CLEARED
	}
	switch rapid.IntRange(0, 19).Draw(c.t, "odd") {
	case 0:
		x.Host = c.host()
	case 1:
		x.Epoch++
	case 2:
		x.Token.Generation = "another"
	}
	if c.chance(60) {
		x.Claims = []*logpb.ServiceReport{c.report(p.GetService())}
	}
	return x
}

func (c *chooser) edge() *logpb.Edge {
	host := c.host()
	if c.chance(40) {
		return &logpb.Edge{Host: host, Lost: c.chance(40)}
	}
	return &logpb.Edge{Host: host, Epoch: c.epoch(host), Service: c.service(), Serving: c.serving()}
}

func (c *chooser) hello() *logpb.Hello {
	host := c.host()
	h := c.s.Host(host)
	c.nonce++
	x := &logpb.Hello{Host: host, Name: c.of("name", "a", "b", host), Fingerprint: "print of " + host, BootId: "boot-1",
		LastEpoch: h.GetEpoch(), Nonce: fmt.Sprint("nonce-", c.nonce), Stream: "stream of " + host, LastEvent: h.GetMark(),
		Generation: c.s.Generation(), Index: c.index - 1, NewStream: fmt.Sprint("stream-", c.nonce),
		NewGeneration: fmt.Sprintf("%032d", 1000+c.nonce)}
	if h != nil && c.chance(90) {
		x.Stream, x.Fingerprint = h.GetStream(), h.GetFingerprint()
	}
	for _, s := range []string{"web", "db"} {
		if c.chance(80) {
			x.Services = append(x.Services, c.report(s))
		}
	}
	for _, p := range c.s.PermitsOf(host) {
		x.Running = append(x.Running, &logpb.Running{Token: p.GetToken(), Epoch: p.GetEpoch(), Unknown: c.chance(20)})
	}
	c.odd(x, h)
	return x
}

// odd bends a hello.
func (c *chooser) odd(x *logpb.Hello, h *logpb.Host) {
	switch rapid.IntRange(0, 29).Draw(c.t, "odd") {
	case 0:
		x.Nonce = h.GetNonce()
	case 1:
		x.Fingerprint = "clone"
	case 2:
		x.BootId, x.Twin = "boot-2", true
	case 3:
		x.LastEpoch = 0
	case 4:
		x.Stream, x.LastEvent = fmt.Sprint("stream-", c.nonce), 0
	case 5:
		x.Index += 5
	case 6:
		x.Index, x.NewGeneration = x.Index+5, ""
	case 7:
		x.Running = append(x.Running, &logpb.Running{Token: &logpb.Token{Generation: "older", N: uint64(c.nonce)}, Epoch: 1,
			Rule: "slow", Digest: []byte("1"), Targets: []*logpb.Target{{Service: c.service(), Host: x.GetHost()}}})
	case 8:
		x.Running = append(x.Running, &logpb.Running{Token: &logpb.Token{Generation: x.GetGeneration(),
			N: uint64(rapid.IntRange(1, 9).Draw(c.t, "n"))},
			Epoch: h.GetEpoch(), Rule: "slow", Digest: []byte("1"), Targets: []*logpb.Target{{Service: c.service(),
				Host: x.GetHost()}}})
	}
}

// The state is the table, whatever arrives; a batch is its commands one by one; a restart changes nothing.
func TestStateIsTheTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &chooser{t: t, s: state.New(), at: 3600e9}
		table, single := spec.New(), state.New()
		batch := []*logpb.Command{{What: &logpb.Command_NewGeneration{NewGeneration: &logpb.NewGeneration{Id: "first",
			Bootstrap: true}}}}
		for range 60 {
			c.index++
			c.at += int64(rapid.IntRange(0, 4).Draw(t, "seconds")) * 1e9
			entry := func(cs ...*logpb.Command) *logpb.Entry { return &logpb.Entry{Format: 1, At: c.at, Commands: cs} }
			var results []*logpb.Result
			for _, cmd := range batch {
				table.Look(single)
				rs, err := single.Apply(c.index, entry(cmd))
				if err != nil {
					t.Fatal(err)
				}
				if err := table.Step(spec.Point{Index: c.index, At: c.at}, cmd, rs[0]); err != nil {
					t.Fatalf("%v\n→ %v\n%v", cmd, rs[0], err)
				}
				table.Look(single)
				if err := table.Same(single); err != nil {
					t.Fatalf("after %v\n→ %v\n%v", cmd, rs[0], err)
				}
				results = append(results, rs...)
			}
			together, err := c.s.Apply(c.index, entry(batch...))
			if err != nil {
				t.Fatal(err)
			}
			for i := range results {
				if !proto.Equal(together[i], results[i]) {
					t.Fatalf("in a batch %v\n→ %v\nand alone\n→ %v", batch[i], together[i], results[i])
				}
			}
			if err := single.Verify(); err != nil {
				t.Fatal(err)
			}
			if single, err = state.Restore(single.Snapshot()); err != nil {
				t.Fatal(err)
			}
			if string(single.Hash()) != string(c.s.Hash()) {
				t.Fatal("the restored state has another hash")
			}
			batch = nil
			for range rapid.IntRange(1, 4).Draw(t, "batch") {
				batch = append(batch, c.command())
			}
		}
	})
}
