package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/notify"
)

// desk is where people's messages arrive: a webhook that takes what is signed with the key, once.
type desk struct {
	url   string
	key   string
	inbox chan notify.Payload
}

func newDesk(t testing.TB) *desk {
	d := &desk{key: "a long secret", inbox: make(chan notify.Payload, 16)}
	seen := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		signature := r.Header.Get(notify.SignatureHeader)
		stamp, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		at := time.Unix(seconds, 0)
		if err != nil || signature != notify.Sign([]byte(d.key), at, body) || time.Since(at) > time.Minute {
			t.Errorf("the signature %q is not that of the message", signature)
		}
		var p notify.Payload
		if err := json.Unmarshal(body, &p); err != nil {
			t.Error(err)
		}
		if key := r.Header.Get(notify.KeyHeader); key == "" || key != p.Key || seen[key] {
			t.Errorf("the key of a message is %q, in it %q, seen %v", key, p.Key, seen[key])
		}
		seen[p.Key] = true
		d.inbox <- p
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// config is the way to the desk; file holds the key.
func (d *desk) config(h *host) string {
	return fmt.Sprintf(`
notifier "webhook" "desk" {
  url         = %q
  secret_file = %q
}
escalation "default" {
  step { notify = ["webhook.desk"] }
}
`, d.url, h.write("desk.key", d.key, 0o600))
}

func (d *desk) next(t testing.TB) notify.Payload {
	t.Helper()
	select {
	case p := <-d.inbox:
		return p
	case <-time.After(patience):
		t.Fatal("no message came")
		return notify.Payload{}
	}
}

// A unit that fails at once whatever is tried is handed to people with the whole story, and they hear when
// it is over.
func TestFailsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	people := newDesk(t)
	broken := h.write("broken", "", 0o600)
	h.install("web.service", strings.Replace(h.counted("web"), "ExecStart=/bin/sleep 1000",
		fmt.Sprintf("ExecStart=/bin/sh -c 'rm %s || exit 7; exec sleep 1000'", broken), 1))
	h.configure(strings.Replace(web, `remedy "restart" "again" {`, `remedy "restart" "again" {
    attempts = 1`, 1) + people.config(h))
	a := h.start(nil)
	h.crash("web.service")

	told := people.next(t)
	if told.Kind != notify.Trigger || told.Service != "web" || told.Severity != "critical" {
		t.Errorf("the message is %s, about %s, %s", told.Kind, told.Service, told.Severity)
	}
	for _, part := range []string{"web.service failed again (exit-code)", "already ran once", "\n=== "} {
		if !strings.Contains(told.Details, part) {
			t.Errorf("the message does not say %q:\n%s", part, told.Details)
		}
	}
	in := a.incident("last")
	if at := in.GetAttempts(); len(at) != 1 || at[0].GetOutcome() != "ineffective" {
		t.Errorf("the attempts are %v, want one that was ineffective", at)
	}
	a.await(event{typ: "notify", text: "webhook.desk was told"})

	h.write("broken", "", 0o600)
	h.ctl("start", "web.service")
	if in := a.ended("web"); in.GetSummary().GetState() != "resolved" {
		t.Errorf("the incident is %s", in.GetSummary().GetState())
	}
	if bye := people.next(t); bye.Kind != notify.Resolve || bye.Incident != told.Incident {
		t.Errorf("the second message is %s of %s, want the end of %s", bye.Kind, bye.Incident, told.Incident)
	}
}

// Programs that ask and tell run when an allow block permits it. Without one the configuration is refused.
func TestPrograms(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install("web.service", h.counted("web"))
	check := h.write("check", fmt.Sprintf("#!/bin/sh\ntest ! -e %s\n", h.file("ill")), 0o755)
	tell := h.write("tell", fmt.Sprintf("#!/bin/sh\ncat > %s.new && mv %[1]s.new %[1]s\n", h.file("told")), 0o755)
	text := fmt.Sprintf(`
service "web" {
  unit    = "web.service"
  startup = "100ms"
  probe "check" {
    exec    = [%q]
    every   = "1s"
    timeout = "1s"
  }
}
rule "web-ill" {
  services = ["web"]
  when     = !probe.check.ok
  for      = "0s"
}
notifier "exec" "tell" {
  command = [%q]
}
escalation "default" {
  step { notify = ["exec.tell"] }
}
`, check, tell)
	allow := fmt.Sprintf("allow {\n  exec    = [%q, %q]\n  actions = [\"probe\", \"notify\"]\n}\n", check, tell)
	for _, forbidden := range []string{"probe", "notify"} {
		h.configure(strings.Replace(allow, fmt.Sprintf("%q", forbidden), `"exec"`, 1) + text)
		b := h.launch(nil)
		<-b.done
		if b.err == nil || !strings.Contains(b.err.Error(), "agent.hcl:") || !strings.Contains(b.err.Error(), forbidden) {
			t.Errorf("without %s allowed the agent ends with %v", forbidden, b.err)
		}
	}

	h.configure(allow + text)
	a := h.start(nil)
	a.reads("probe.check.ok", "web", 1)
	h.write("ill", "", 0o600)
	a.await(event{typ: "notify", text: "exec.tell was told"})
	src, err := os.ReadFile(h.file("told"))
	if err != nil {
		t.Fatal(err)
	}
	var p notify.Payload
	if err := json.Unmarshal(src, &p); err != nil || p.Service != "web" || p.Kind != notify.Trigger {
		t.Errorf("the program was told %s, %v", src, err)
	}
}

// Who only observes touches nothing, and says what he would have done and how it ended without him.
func TestObserve(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.autonomy = "observe"
	h.configure(web)
	a := h.start(nil)
	h.crash("web.service")
	a.await(event{typ: "decide", service: "web", fields: map[string]string{"verdict": "observe", "remedy": "again"}})
	h.ctl("start", "web.service")
	in := a.ended("web")
	if in.GetWouldHave() != "again" || in.GetSummary().GetEnd() != "it cleared by itself; again would have run" {
		t.Errorf("would have %q, end %q", in.GetWouldHave(), in.GetSummary().GetEnd())
	}
	a.never(event{typ: "intent"})
	if n := len(in.GetAttempts()); n != 0 {
		t.Errorf("%d attempts, want none", n)
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("the unit was started %d times, want 2: by its test", n)
	}
}
