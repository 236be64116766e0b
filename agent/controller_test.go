package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/session/linetest"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/proto/localpb"
)

// newNode is a controller's node, and the block of agent.hcl that leads to it.
func newNode(t testing.TB) (*linetest.Server, string) {
	t.Helper()
	return serveNode(t, linetest.New(t))
}

func serveNode(t testing.TB, node *linetest.Server) (*linetest.Server, string) {
	t.Helper()
	address, stop, err := node.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return node, fmt.Sprintf("\ncontroller {\n  addresses = [%q]\n}\n", address)
}

// line awaits the agent's session with the controller.
func (p *phone) line(t testing.TB) *localpb.ControllerLine {
	t.Helper()
	var l *localpb.ControllerLine
	agenttest.Eventually(t, func() bool {
		r, err := p.Status(t.Context(), &localpb.StatusRequest{})
		l = r.GetStatus().GetController()
		return err == nil && l.GetConnected()
	}, "the agent is connected to the controller")
	return l
}

// settled awaits that the node counts nothing any more.
func settled(t testing.TB, node *linetest.Server) {
	t.Helper()
	agenttest.Eventually(t, func() bool { return len(node.Permits()) == 0 }, "the controller counts nothing any more")
}

// dies-in-the-middle, with permits: wherever the agent is killed, the session's own steps included, the story ends
// well, nothing runs twice, and in the end the controller counts nothing.
func TestDiesInTheMiddleWithAPermit(t *testing.T) {
	t.Parallel()
	steps := func() []string {
		h := newWalk(t)
		_, block := newNode(t)
		h.configure(walk + block)
		var mu sync.Mutex
		var names []string
		seam := points{at: func(_ int, name string) {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, name)
		}}
		a := h.start(func(o *Options) { o.step, o.memory = seam.reach, seam.memory })
		a.line(t)
		h.crash("web.service")
		a.ended("web")
		a.stop()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}()
	for _, must := range []string{"hello", "welcome", "orders", "permit", "request", "grant", "before intended of quiet is on disk"} {
		if !slices.Contains(steps, must) {
			t.Fatalf("the walk does not come by %q: %q", must, steps)
		}
	}
	for i, name := range steps {
		t.Run(fmt.Sprintf("%d %s", i+1, name), func(t *testing.T) {
			t.Parallel()
			h := newWalk(t)
			node, block := newNode(t)
			h.configure(walk + block)
			p := h.fork(dieAt + "=" + strconv.Itoa(i+1))
			agenttest.Eventually(t, func() bool {
				select {
				case <-p.done:
					return true
				default:
					return node.Live(hostOf(node))
				}
			}, "the agent is connected, or has killed itself")
			h.crash("web.service")
			agenttest.Eventually(t, func() bool {
				select {
				case <-p.done:
					return true
				default: // in this life the points come in another order
					return strings.Contains(p.log.String(), "resolved: again healed it")
				}
			}, "the agent has killed itself, or healed the unit")
			p.signal(syscall.SIGKILL)

			a := h.start(nil)
			a.line(t)
			agenttest.Eventually(t, func() bool {
				r, err := a.Incident(t.Context(), &localpb.IncidentRequest{Id: "last"})
				return err == nil && r.GetIncident().GetSummary().GetState() == "resolved"
			}, "the incident is resolved")
			in := a.incident("last")
			settled(t, node)
			a.stop()
			quiet := 0 // it is passed over where nobody could be asked for leave
			for _, at := range h.attempts() {
				if at.Remedy != "quiet" || at.Phase == incident.Refused || at.Phase == incident.NotDone {
					continue
				}
				if quiet++; at.Permit == nil {
					t.Errorf("attempt %s stopped what serves without a permit", at.ID)
				}
			}
			h.checkWalkWith(in, min(quiet, 1))
		})
	}
}

// hostOf is the host that the node knows, "" before it knows one.
func hostOf(node *linetest.Server) string {
	for _, id := range node.Hosts() {
		return id
	}
	return ""
}

// What serves is restarted on a real systemd with the controller's leave: refused while another host is under
// repair, then granted; the agent is killed in the middle of it, and the next one settles it.
func TestSickButServing(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	node, block := newNode(t)
	var ill atomic.Bool
	var was string
	probe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() && len(h.starts("web")) == 1 { // a restart cures
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer probe.Close()
	h.configure(strings.NewReplacer(`remedy "restart"`, `probe "health" {
    http    = "`+probe.URL+`"
    every   = "1s"
    timeout = "1s"
  }
  probe "alive" {
    tcp     = "`+strings.TrimPrefix(probe.URL, "http://")+`"
    every   = "1s"
    timeout = "1s"
  }
  remedy "restart"`, "unit.failed", "!probe.health.ok", "clear_for", "for       = \"0s\"\n  clear_for").Replace(web) + block)
	a := h.start(nil)
	l := a.line(t)
	if l.GetGeneration() != "g1" || l.GetEpoch() != 1 || l.GetProblem() != "" {
		t.Errorf("the line is %v", l)
	}
	node.Refuse("cap", "web-2 is under repair", 1e8)
	was = h.starts("web")[0]
	ill.Store(true)
	e := a.await(event{typ: "decide", service: "web", fields: map[string]string{"guard": "permit"}})
	if e.GetText() != "again waits for its permit: web-2 is under repair" || len(h.starts("web")) != 1 {
		t.Errorf("%s, after %d starts", e.GetText(), len(h.starts("web")))
	}
	node.Refuse("", "", 0)
	in := a.ended("web")
	settled(t, node)
	if got := h.starts("web"); len(got) != 2 || got[0] != was || in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("starts %q, the incident ended: %s", got, in.GetSummary().GetEnd())
	}
	if !strings.Contains(node.Log(), "settle 1@g1 serving") {
		t.Error("the permit was not settled as serving")
	}
	a.stop()
	if at := h.attempts(); at[len(at)-1].Permit == nil {
		t.Error("the attempt has no permit")
	}
}

// A configuration whose controller changed takes a restart, and says so.
func TestControllerChanges(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	_, block := newNode(t)
	h.configure(web + block)
	a := h.start(nil)
	a.line(t)
	for name, text := range map[string]string{"gone": web, "another": web + "\ncontroller {\n  addresses = [\"127.0.0.1:1\"]\n}\n"} {
		h.configure(text)
		if _, err := a.Reload(t.Context(), &localpb.ReloadRequest{}); err == nil || !strings.Contains(err.Error(), "takes a restart") {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.configure(web + block)
	if _, err := a.Reload(t.Context(), &localpb.ReloadRequest{}); err != nil {
		t.Error(err)
	}
}

// Out of reach, the agent says so to whoever looks, and starts what is dead all the same.
func TestControllerOutOfReach(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.configure(web + "\ncontroller {\n  addresses = [\"" + require.Port(t) + "\"]\n}\n")
	a := h.start(nil)
	h.crash("web.service")
	if in := a.ended("web"); in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the incident: %v", in.GetSummary())
	}
	agenttest.Eventually(t, func() bool {
		d, err := a.Doctor(t.Context(), &localpb.DoctorRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(d.GetFindings(), func(f *localpb.Finding) bool {
			return f.GetAbout() == "controller" && f.GetVerdict() == "failed" && strings.HasPrefix(f.GetText(), "cannot be reached: dial")
		})
	}, "the doctor finds it")
	st, err := a.Status(t.Context(), &localpb.StatusRequest{})
	if l := st.GetStatus().GetController(); err != nil || l.GetConnected() || l.GetProblem() == "" || l.GetUnsent() == 0 {
		t.Errorf("the line is %v, %v", l, err)
	}
}
