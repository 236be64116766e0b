package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/config"
)

// The generated configuration is one that the agent takes, with three misses for all patients but
// those of the single-miss figure.
func TestSalveConfig(t *testing.T) {
	dir := t.TempDir()
	w := &ward{dir: dir}
	for i := range 8 {
		w.patients = append(w.patients, rig.NewPatient(fmt.Sprintf("p-%03d", i), fmt.Sprintf("127.0.0.1:%d", 20000+i)))
	}
	s := &salve{ward: w, pages: []string{"http://127.0.0.1:1/metrics", "http://127.0.0.1:1/1/metrics"}, records: true}
	if err := s.world().write(dir, "127.0.0.1:7610"); err != nil {
		t.Fatal(err)
	}
	agent, diags := config.LoadAgent(filepath.Join(dir, "agent.hcl"), config.LoadOptions{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(agent.Services) != 8 || len(agent.Rules) != 5 || agent.RecordMiB == 0 {
		t.Fatalf("%d services and %d rules, want 8 and 5; %d MiB recorded", len(agent.Services), len(agent.Rules), agent.RecordMiB)
	}
	for i, service := range agent.Services {
		want := 3
		if i >= 6 {
			want = 1
		}
		if read := len(service.Scrapes) == 1 && len(service.Scrapes[0].Metrics) == 3; read != (i < 2) {
			t.Errorf("%s has %d pages", service.Name, len(service.Scrapes))
		}
		if p := service.Probes[0]; p.Misses != want || p.Every != time.Second || p.Timeout != 500*time.Millisecond {
			t.Errorf("probe of %s: %d misses, every %v, time-out %v", service.Name, p.Misses, p.Every, p.Timeout)
		}
		for _, r := range agent.Rules {
			if strings.HasPrefix(r.Name, "errors-of-") {
				continue
			}
			if got := agent.Candidates(r, service); len(got) != 1 || r.For != 0 {
				t.Errorf("rule %s of %s has %d candidates, and waits %v", r.Name, service.Name, len(got), r.For)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("a state folder is there before the start: the agent would remember")
	}
}
