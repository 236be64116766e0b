package agent

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/session/linetest"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

// allowlist, against whoever owns the controller: nothing that a node can say names what is to be done, so all that is
// left to it is to say yes, no, and nonsense. By none of it does the agent touch a unit, its own least of all, or end;
// and afterwards it still heals.
func TestHostileController(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.install("victim.service", h.counted("victim"))
	node, block := serveNode(t, linetest.New(carefree{}))
	h.configure(web + block)
	a := h.start(nil)
	starts := h.starts("web")
	for name, m := range hostile() {
		a.hears(t, node, m)
		if got := h.starts("web"); !slices.Equal(got, starts) || len(h.starts("victim")) != 1 {
			t.Fatalf("%s: web was started %d times, victim %d times", name, len(got), len(h.starts("victim")))
		}
	}
	// A node may forbid what it likes. The agent shows it what it said, and a person takes that back.
	epoch := a.line(t).GetEpoch()
	node.Cut()
	agenttest.Eventually(t, func() bool { return a.line(t).GetEpoch() > epoch }, "another session has begun")
	node.Resume("")
	h.crash("web.service")
	agenttest.Eventually(t, func() bool {
		r, err := a.Incident(t.Context(), &localpb.IncidentRequest{Id: "last"})
		return err == nil && r.GetIncident().GetSummary().GetState() == "resolved"
	}, "the incident is resolved")
	if len(h.starts("web")) != 2 || len(h.starts("victim")) != 1 {
		t.Errorf("web was started %d times, victim %d times", len(h.starts("web")), len(h.starts("victim")))
	}
}

// carefree minds no breach of the protocol: a hostile node begins them.
type carefree struct{}

func (carefree) Errorf(string, ...any) {}

// hears has the agent hear a message, and returns when it has dealt with it: it pings twice where it is urged to, or
// has begun another session.
func (a *running) hears(t *testing.T, node *linetest.Server, m *agentpb.ConnectResponse) {
	t.Helper()
	epoch := a.line(t).GetEpoch()
	host := hostOf(node)
	pings := node.Pings(host)
	node.Say(m)
	for range 2 { // one may be due by itself
		node.Say(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Pong{Pong: &agentpb.Pong{Urge: true}}})
	}
	agenttest.Eventually(t, func() bool {
		return a.line(t).GetEpoch() > epoch || node.Pings(host) >= pings+2
	}, "the agent has heard it")
}

// hostile is what a node could say that wants a host to do what it must not, or to fall over.
func hostile() map[string]*agentpb.ConnectResponse {
	huge := strings.Repeat("x", 1<<20)
	token := &logpb.Token{Generation: "g1", N: 1}
	victim := []*logpb.Target{{Service: "victim", Host: "*"}, {Service: "web", Host: "*"}}
	answer := func(a *agentpb.Answer) *agentpb.ConnectResponse {
		return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Answer{Answer: a}}
	}
	orders := func(o *agentpb.Standing) *agentpb.ConnectResponse {
		o.Generation, o.Index = "g1", 1<<20
		return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Standing{Standing: o}}
	}
	grant := &agentpb.Answer_Grant{Grant: &logpb.Grant{
		Token: token, Epoch: 1, StartBy: math.MaxInt64, RunFor: math.MaxInt64, AsDown: true,
	}}
	redirect := func(to string) *agentpb.ConnectResponse {
		return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Redirect{Redirect: &agentpb.Redirect{Address: to}}}
	}
	return map[string]*agentpb.ConnectResponse{
		"permit that nobody asked for": answer(&agentpb.Answer{N: 1, What: grant}),
		"permit with the end of time":  answer(&agentpb.Answer{N: math.MaxUint64, Token: token, What: grant}),
		"settlement of nothing":        answer(&agentpb.Answer{Token: token, What: &agentpb.Answer_Settled{}}),
		"answer that says nothing":     answer(nil),
		"permits for other units": {What: &agentpb.ConnectResponse_Welcome{Welcome: &logpb.Welcome{Epoch: 1, Generation: "g1",
			Permits: []*logpb.Permit{{Token: token, Remedy: "restart", Rule: "web-down", Service: "victim", Targets: victim}}}}},
		"orders for other services": orders(&agentpb.Standing{Services: []*agentpb.ServiceOrder{
			{Service: "victim", Autonomy: "full", Sole: true, AloneAct: true, Detection: math.MinInt64},
			{Service: "../web", Autonomy: "restart victim.service"},
		}}),
		"orders that make no sense": orders(&agentpb.Standing{
			Pauses: []*logpb.Pause{{Scope: "unit:["}, {Scope: strings.Repeat("*a", 5000)}, {Scope: huge, Until: -1}, nil},
			Windows: []*logpb.Window{
				{Zone: "../../etc/passwd", From: "99:99", To: "-1:0", Days: []uint32{math.MaxUint32}}, {Name: huge}, nil,
			},
			Breakers:  []*logpb.Breaker{{Service: "*", Rule: "*", Opened: math.MaxInt64}, nil},
			Incidents: []*agentpb.IncidentOrder{{Local: "../../etc/passwd", Resolved: true, AckBy: huge}, nil},
			Revoked:   []*logpb.Token{{N: math.MaxUint64}, nil},
		}),
		"orders of nobody": {What: &agentpb.ConnectResponse_Standing{}},
		"a mark of tomorrow": {What: &agentpb.ConnectResponse_Mark{
			Mark: &agentpb.Mark{Stream: "another", N: math.MaxUint64}}},
		"a pong of tomorrow": {What: &agentpb.ConnectResponse_Pong{
			Pong: &agentpb.Pong{N: math.MaxUint64, Serial: 1 << 40}}},
		"another node":               redirect("unix:///run/dbus/socket"),
		"a node far away":            redirect("192.0.2.1:7600"),
		"wait for ever":              {What: &agentpb.ConnectResponse_Busy{Busy: &agentpb.Busy{RetryAfter: math.MaxInt64}}},
		"wait for less than nothing": {What: &agentpb.ConnectResponse_Busy{Busy: &agentpb.Busy{RetryAfter: math.MinInt64}}},
		"nothing":                    {},
		"more than a message holds":  orders(&agentpb.Standing{Pauses: []*logpb.Pause{{Reason: strings.Repeat(huge, 5)}}}),
	}
}
