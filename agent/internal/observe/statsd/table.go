package statsd

import (
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/metric"
)

// stale is how long a gauge is believed after its last line.
const stale = 10 * time.Minute

// table has the figures of one block. Its door's lock guards all but told.
type table struct {
	metrics []source.Metric
	every   time.Duration
	figures []*figure.Figure
	told    []metric.Figure // what the last round said; of the block

	since time.Duration // when it entered its door
	last  time.Duration // end of the last round
	busy  time.Duration // of the door, by then

	heard   bool          // something came since then that shows that its service lives
	heardAt time.Duration // end of the last round in which it did

	bad     uint64        // lines that could not be read
	badText string        // the last of them, or its beginning
	badErr  error         // and why
	badSeen uint64        // how many there were at the end of the last round
	badAt   time.Duration // end of the last round that had some
}

func newTable(metrics []source.Metric, every time.Duration) *table {
	return &table{metrics: metrics, every: every, told: make([]metric.Figure, len(metrics))}
}

// begin counts from the given moment on.
func (t *table) begin(at time.Duration) {
	t.figures, t.last = nil, at
	for _, m := range t.metrics {
		t.figures = append(t.figures, figure.New(m.Definition, t.every, stale, at))
	}
}

// end ends a round. It reports whether a gauge was forgotten, to which lines may still lead.
func (t *table) end(at time.Duration) (forgot bool) {
	t.last = at
	for _, f := range t.figures {
		forgot = f.End(at) || forgot
	}
	return forgot
}

// tell makes the figures of a round, and returns what the operator should know.
func (t *table) tell(at time.Duration) (err error) {
	if t.heard {
		t.heard, t.heardAt = false, at
	}
	for i, f := range t.figures {
		t.told[i] = f.Take()
		t.told[i].Idle = t.told[i].Idle && at-t.heardAt <= patience
		if fault := t.told[i].Fault; fault != nil && err == nil && at-t.since > patience {
			err = fmt.Errorf("metric %s: %w", t.metrics[i].Name, fault)
		}
	}
	if t.bad > t.badSeen {
		t.badSeen, t.badAt = t.bad, at
	}
	if t.bad > 0 && at-t.badAt <= patience {
		return t.complaint()
	}
	return err
}

// refuse notes in some tables that something for them could not be read. Neighbours that are the same are one.
func refuse(tables []*table, text []byte, err error) {
	for i, t := range tables {
		if i > 0 && tables[i-1] == t {
			continue
		}
		t.bad++
		t.badText, t.badErr = string(text[:min(len(text), 100)]), err
	}
}

// complaint is about the lines that could not be read; nil if there was none.
func (t *table) complaint() error {
	if t.bad == 0 {
		return nil
	}
	return fmt.Errorf("%d lines could not be read, the last one, %q: %w", t.bad, t.badText, t.badErr)
}
