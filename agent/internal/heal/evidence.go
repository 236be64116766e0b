package heal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

const (
	volatileTime = 50 * time.Millisecond // what an action may have to wait for evidence that it destroys
	durableTime  = 3 * time.Second
	figuresSpan  = time.Minute
)

// collection is the diagnosis of one incident: made once, when it opens.
type collection struct {
	volatile chan struct{} // closed when what an action could destroy has been recorded
	complete bool          // everything has arrived; messages to people wait for it
}

// await returns when the volatile evidence is there or took too long.
func (c *collection) await(ctx context.Context) {
	limit := time.NewTimer(volatileTime)
	defer limit.Stop()
	select {
	case <-c.volatile:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// collect starts the diagnosis of an incident, if it was not done yet.
func (e *Engine) collect(ctx context.Context, s *story, unit string) {
	if s.evidence != nil {
		return
	}
	c := &collection{volatile: make(chan struct{})}
	s.evidence = c
	s.Evidence = append(s.Evidence, e.figures(s, unit))
	if before, any := e.changesBefore(s); any {
		s.Evidence = append(s.Evidence, before)
	}
	u, _ := e.o.Units.Unit(unit)
	u.Name = unit
	go func() {
		quick, cancel := context.WithTimeout(ctx, volatileTime)
		found := e.o.Diagnose.Volatile(quick, u)
		cancel()
		close(c.volatile)
		slow, cancel := context.WithTimeout(ctx, durableTime)
		found = append(found, e.o.Diagnose.Durable(slow, u)...)
		cancel()
		e.post(func() { e.diagnosed(s, found) })
	}()
}

// diagnosed takes the evidence over; people who are to be told can be told now.
func (e *Engine) diagnosed(s *story, found []incident.Evidence) {
	s.evidence.complete = true
	s.Evidence = append(s.Evidence, found...)
	titles := make([]string, 0, len(s.Evidence))
	for _, ev := range s.Evidence {
		titles = append(titles, ev.Title)
	}
	e.noteWith(s, incident.EvDiagnose, "collected: "+strings.Join(titles, "; "), nil, e.tellEvidence(s.Evidence))
	e.climb(s)
}

// figures are the service's signals over the last minute.
func (e *Engine) figures(s *story, unit string) incident.Evidence {
	now := e.o.Clock.Now()
	var b strings.Builder
	for k, ser := range e.store.All() {
		if k.Of != s.Service && k.Of != unit && k.Of != "" {
			continue
		}
		if line := figure(ser, now); line != "" {
			fmt.Fprintf(&b, "%-40s %s\n", k, line)
		}
	}
	return incident.Evidence{Title: "signals, last minute", At: e.stampAt(now), Text: b.String()}
}

func figure(s *series.Series, now clock.Instant) string {
	v, at, ok := s.Last()
	if !ok {
		return ""
	}
	text := fmt.Sprintf("%s, %s ago", s.Format(v), (now.Boot - at).Round(time.Millisecond))
	if s.Event() || s.Dim() == signal.Text || s.Dim() == signal.Bool {
		return text
	}
	lo, known := s.Min(now.Boot, figuresSpan, 0)
	hi, _ := s.Max(now.Boot, figuresSpan, 0)
	if known {
		text += fmt.Sprintf(" (least %s, most %s)", s.Format(lo), s.Format(hi))
	}
	return text
}
