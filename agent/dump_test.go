package agent

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
)

// Pictures of a service that hangs are kept before it is restarted, and the incident says where they are, how large, and how
// a copy is known.
func TestDumpsAreKept(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"eu-stack", "gdb"} {
		_, err := os.Stat("/usr/bin/" + program)
		agenttest.Require(t, program, err == nil, "")
	}
	h := newHost(t)
	h.install("web.service", h.counted("web"))
	hangs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if len(h.starts("web")) < 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(hangs.Close)
	text := strings.NewReplacer(`["start", "restart"]`, `["start", "restart", "dump"]`, "when      = unit.failed", "when      = !probe.health.ok\n  for       = \"100ms\"",
		`["again"]`, `["stacks", "memory", "again"]`, `remedy "restart"`, fmt.Sprintf(`probe "health" {
    http  = %q
    every = "100ms"
  }
  remedy "dump" "stacks" { how = "stacks" }
  remedy "dump" "memory" { how = "core" }
  remedy "restart"`, hangs.URL)).Replace(web)
	h.configure(text)
	a := h.start(nil)
	in := a.ended("web")
	var did []string
	for _, at := range in.GetAttempts() {
		did = append(did, at.GetRemedy()+" "+at.GetOutcome())
		if at.GetKind() != "dump" {
			continue
		}
		var kept struct {
			File, SHA256 string
			Bytes        int
		}
		if err := json.Unmarshal([]byte(at.GetAfter()), &kept); err != nil {
			t.Fatalf("%s failed: %s, %v", at.GetRemedy(), at.GetError(), err)
		}
		b, err := os.ReadFile(kept.File)
		if err != nil || len(b) == 0 || len(b) != kept.Bytes || fmt.Sprintf("%x", sha256.Sum256(b)) != kept.SHA256 {
			t.Errorf("%s has %d bytes, %v: %s", kept.File, len(b), err, at.GetAfter())
		}
		if !strings.HasPrefix(kept.File, h.file("state")) || !strings.Contains(kept.File, in.GetSummary().GetId()) {
			t.Errorf("nobody finds %s by its incident", kept.File)
		}
		a.await(event{typ: "act", text: kept.SHA256})
	}
	if want := []string{"stacks ineffective", "memory ineffective", "again verified"}; !slices.Equal(did, want) {
		t.Errorf("it did %v, want %v", did, want)
	}
	if n := len(h.starts("web")); n != 2 {
		t.Errorf("web was started %d times", n)
	}
}
