package clock

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A file moves the wall clock while the process runs, each change is said once, and what cannot be used moves nothing.
func TestShift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &shift{path: filepath.Join(t.TempDir(), "clock")}
		s.announce(hclog.New(&hclog.LoggerOptions{Output: &out, TimeFn: s.now}))
		for _, step := range []struct {
			text string // of the file; "-": there is none
			want time.Duration
			says string
		}{
			{"-", 0, ""},
			{"-36h\n", -36 * time.Hour, "to=-36h"},
			{"-36h", -36 * time.Hour, ""},
			{"tomorrow", 0, "cannot be used"},
			{"tomorrow", 0, ""},
			{"90m", 90 * time.Minute, "to=1h30m"},
			{"", 0, "to=0s"},
			{"1h", time.Hour, "to=1h"},
			{"-", 0, "to=0s"},
		} {
			out.Reset()
			if step.text == "-" {
				_ = os.Remove(s.path)
			} else if err := os.WriteFile(s.path, []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rereadEvery)
			if got := s.now().Sub(time.Now().Round(0)); got != step.want {
				t.Errorf("%q: the clock is wrong by %s, want %s", step.text, got, step.want)
			}
			if said := out.String(); !strings.Contains(said, step.says) || step.says == "" && said != "" {
				t.Errorf("%q: it says %q, want %q", step.text, said, step.says)
			}
		}
	})
}

func TestShiftIsAnnounced(t *testing.T) {
	var out bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &out})
	Announce(log)
	if out.Len() > 0 {
		t.Errorf("without %s: %q", TestVariable, &out)
	}
	(&shift{path: "/nowhere"}).announce(log)
	if said := out.String(); !strings.Contains(said, "FOR TESTS ONLY") || !strings.Contains(said, "/nowhere") {
		t.Errorf("it says %q", said)
	}
}
