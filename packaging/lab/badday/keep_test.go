package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
)

// TestKeepDay: what is kept of a recording is about the services of the day, and its incidents are those that happened.
func TestKeepDay(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ring, folder := t.TempDir(), t.TempDir()
	b, store := recording.NewBlock(), series.New()
	unit := care.OpenVitals(store, "redis-server.service")
	for i, state := range []string{"active", "failed", "active"} {
		boot := time.Duration(i) * time.Second
		b.Tick(noon.Add(boot))
		unit.Set(boot, care.Life{Name: "redis-server.service", Active: state})
		for _, s := range store.All() {
			b.AddSeries(s, boot)
		}
		b.Add(series.Key{Signal: "metric.clients", Of: "redis"}, float64(i))
		b.Add(series.Key{Signal: "host.cpu.busy"}, 1)                             // of this machine
		b.Add(series.Key{Signal: recording.IncidentOpen, Of: "redis"}, 1)         // which its rules found
		b.Add(series.Key{Signal: "metric.traffic", Of: "shop"}, 1)                // of the pack, and not of the day
		b.Add(series.Key{Signal: recording.IncidentOpen, Of: "shop"}, float64(i)) // the same
	}
	if err := os.WriteFile(filepath.Join(ring, recording.Next(nil)), b.Append(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	happened := []happening{
		{event: event{what: "Redis dies", services: []string{"redis"}}, began: noon.Add(time.Second), ended: noon.Add(2 * time.Second)},
		{event: event{what: "nothing"}, began: noon, ended: noon.Add(time.Minute)},
	}
	if err := keepDay(ring, folder, happened); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, "day.slr"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	recording.Read(data, func(s recording.Span) bool {
		for i := range s.At {
			for n := range s.Lanes {
				v, _ := s.Lanes[n].Value(i)
				switch k := s.Lanes[n].Key; {
				case k.Signal == "unit.state":
					got = append(got, fmt.Sprintf("%d %s %s", i, k, s.Words[int(v)]))
				case k.Of != "redis-server.service" && (k.Signal != recording.IncidentOpen || v == 1):
					got = append(got, fmt.Sprintf("%d %s %v", i, k, v))
				}
			}
		}
		return true
	})
	want := []string{"0 metric.clients{redis} 0", "0 unit.state{redis-server.service} active",
		"1 incident.open{redis} 1", "1 metric.clients{redis} 1", "1 unit.state{redis-server.service} failed",
		"2 metric.clients{redis} 2", "2 unit.state{redis-server.service} active"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	list, err := os.ReadFile(filepath.Join(folder, "happened.txt"))
	const lines = "12:00:01  12:00:02  redis          Redis dies\n12:00:00  12:01:00  -              nothing\n"
	if err != nil || string(list) != lines {
		t.Errorf("%v, it says\n%s", err, list)
	}
}

// TestTrim: a page keeps what rules are about, and no name of this machine's folders.
func TestTrim(t *testing.T) {
	s := &stage{database: &agenttest.Pool{Postgres: "/tmp/salve-pool-1/.s.PGSQL.5432"}}
	page := "# HELP go_goroutines n\ngo_goroutines 8\n# TYPE pg_settings_max_connections gauge\n" +
		"pg_settings_max_connections{server=\"/tmp/salve-pool-1:5432\"} 20\npg_settings_work_mem_bytes 4\npg_up 1\n"
	want := "# TYPE pg_settings_max_connections gauge\npg_settings_max_connections{server=\"/run/postgresql:5432\"} 20\npg_up 1\n"
	if diff := cmp.Diff(want, string(s.trim([]byte(page)))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
