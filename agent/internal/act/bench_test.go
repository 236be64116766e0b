package act_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// BenchmarkCrashToStarted is the whole way of a crash through watcher and runner with nothing to decide:
// SIGKILL → failed event → prechecks, intent on disk, start job, result on disk. Beside the total it
// reports what the prechecks cost of it.
func BenchmarkCrashToStarted(b *testing.B) {
	m := agenttest.Manager(b)
	if err := m.WriteUnit("a.service", acttest.Sleeper); err != nil {
		b.Fatal(err)
	}
	c := acttest.Clock(b)
	w := systemd.New(systemd.Options{Bus: m.Address, Clock: c})
	w.Watch([]string{"a.service"})
	go func() { _ = w.Run(b.Context()) }()
	j, _, err := journal.Open(b.TempDir(), journal.Options{Clock: c})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	r, err := act.New(act.Options{Systemd: w, Journal: j, Clock: c,
		Allow: []config.Allow{{Units: []string{"a.service"}, Actions: []string{"start"}}}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := m.Systemctl("start", "a.service"); err != nil {
		b.Fatal(err)
	}
	await := func(active string) {
		for e := range w.Events() {
			if e.Unit.Active == active && e.Unit.Job == 0 {
				return
			}
		}
	}
	await("active")
	killer := unit.Killer{Units: unit.New(&kind.Host{Systemd: w})}
	var prepare, event time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if err := killer.Act(b.Context(), &kind.Step{Request: acttest.Ask(remedy.Kill, "a.service"), Target: "a.service"}); err != nil {
			b.Fatal(err)
		}
		await("failed")
		failed := time.Now()
		q := acttest.Ask(remedy.Start, "a.service")
		q.Attempt = incident.Attempt{ID: fmt.Sprintf("bench-%d", i)}
		p, err := r.Prepare(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		event, prepare = event+failed.Sub(began), prepare+time.Since(failed)
		if a, err := r.Run(b.Context(), p); err != nil || a.Error != "" {
			b.Fatal(a.Error, err)
		}
		await("active")
	}
	b.ReportMetric(float64(event.Microseconds())/float64(b.N)/1000, "ms-to-event")
	b.ReportMetric(float64(prepare.Microseconds())/float64(b.N), "µs-prepare")
}
