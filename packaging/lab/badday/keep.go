package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// subjects are what is kept of the recording: the services of the day, and their units. The rest is about this machine.
var subjects = []string{"redis", "nginx", "haproxy", "postgresql", "checkout", "rabbitmq",
	"redis-server.service", "nginx.service", "haproxy.service", "rabbitmq-server.service"}

// keepDay writes what an agent recorded, with the incidents that truly happened in place of those that its rules found,
// so that a backtest compares with the truth.
func keepDay(ring, folder string, happened []happening) error {
	names, err := recording.Files(os.DirFS(ring))
	if err != nil {
		return err
	}
	var out []byte
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(ring, name))
		if err != nil {
			return err
		}
		if damaged := recording.Read(data, func(s recording.Span) bool {
			out = keepSpan(out, s, happened)
			return true
		}); damaged > 0 {
			return fmt.Errorf("%s: %d bytes are damaged", name, damaged)
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "day.slr"), out, 0o644); err != nil {
		return err
	}
	var list strings.Builder
	for _, h := range happened {
		ill := "-"
		if len(h.services) > 0 {
			ill = strings.Join(h.services, ",")
		}
		fmt.Fprintf(&list, "%s  %s  %-13s  %s\n", h.began.UTC().Format(time.TimeOnly), h.ended.UTC().Format(time.TimeOnly), ill,
			h.what)
	}
	return os.WriteFile(filepath.Join(folder, "happened.txt"), []byte(list.String()), 0o644)
}

// keepSpan appends what is kept of a block.
func keepSpan(out []byte, s recording.Span, happened []happening) []byte {
	b := recording.NewBlock()
	words := series.New()
	for i, sec := range s.At {
		at := time.Unix(sec, 0)
		b.Tick(at)
		for n := range s.Lanes {
			l := &s.Lanes[n]
			v, told := l.Value(i)
			if !told || l.Key.Signal == recording.IncidentOpen || !slices.Contains(subjects, l.Key.Of) {
				continue
			}
			p, err := signal.ParsePath(l.Key.Signal)
			if info, known := signal.Lookup(p); err == nil && known && info.Dim == signal.Text {
				text := words.Open(l.Key, series.Options{Dim: signal.Text, Event: true})
				if math.IsNaN(v) {
					text.Unknown(time.Duration(i))
				} else {
					text.Set(time.Duration(i), words.Intern(s.Words[int(v)]))
				}
				b.AddSeries(text, time.Duration(i))
				continue
			}
			b.Add(l.Key, v)
		}
		for _, of := range subjects {
			if !strings.HasSuffix(of, ".service") {
				b.Add(series.Key{Signal: recording.IncidentOpen, Of: of}, ill(of, at, happened))
			}
		}
	}
	return b.Append(out)
}

// ill is 1 while the service was ill.
func ill(service string, at time.Time, happened []happening) float64 {
	for _, h := range happened {
		if slices.Contains(h.services, service) && !at.Before(h.began) && at.Before(h.ended) {
			return 1
		}
	}
	return 0
}
