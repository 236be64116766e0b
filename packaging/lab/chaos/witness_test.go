package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
)

// placeOf reads units that are called SERVICE-HOST.service.
func placeOf(unit string) (Place, bool) {
	service, host, ok := strings.Cut(strings.TrimSuffix(unit, ".service"), "-")
	return Place{service, host}, ok && slices.Contains([]string{"shop", "cart"}, service)
}

// The witness sees each job that systemd runs, and that three at once are one too many.
func TestWitness(t *testing.T) {
	m := agenttest.Manager(t)
	gate := filepath.Join(t.TempDir(), "gate") // jobs end when it is there
	for i := range 3 {
		text := "[Service]\nExecStartPre=/bin/sh -c 'until [ -e " + gate + " ]; do sleep 0.05; done'\nExecStart=/bin/sleep 1000\n"
		if err := m.WriteUnit(fmt.Sprintf("shop-h%d.service", i), text); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Watch(m.Address, Limits{Cap: 2, Fleet: 3}, placeOf)
	if err != nil {
		t.Fatal(err)
	}
	start := func(hosts ...string) {
		t.Helper()
		args := []string{"restart", "--no-block"}
		for _, h := range hosts {
			args = append(args, "shop-"+h+".service")
		}
		if _, err := m.Systemctl(args...); err != nil {
			t.Fatal(err)
		}
		if jobs, err := w.Jobs(t.Context()); err != nil || len(jobs) != len(hosts) {
			t.Errorf("jobs are %v, %v; want those of %v", jobs, err, hosts)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		agenttest.Eventually(t, func() bool {
			jobs, err := w.Jobs(t.Context())
			return err == nil && len(jobs) == 0
		}, "the end of the jobs")
		if err := os.Remove(gate); err != nil {
			t.Fatal(err)
		}
	}
	start("h0", "h1")
	start("h2")
	if len(w.Wrong()) > 0 || w.Most() != 2 {
		t.Errorf("two at once: most %d, wrong %v", w.Most(), w.Wrong())
	}
	start("h0", "h1", "h2")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(w.Wrong(), "\n"); !strings.Contains(got, "on 3 hosts of shop at once, and 2 may be") {
		t.Errorf("three at once: %q", got)
	}
	if n := w.Begun(); n[Place{"shop", "h0"}] != 2 || n[Place{"shop", "h2"}] != 2 || w.Total() != 6 {
		t.Errorf("it saw the jobs %v", n)
	}
}

func TestWitnessOfNothing(t *testing.T) {
	if _, err := Watch("unix:path=/nowhere", Limits{}, placeOf); err == nil {
		t.Error("it watches what is not there")
	}
}
