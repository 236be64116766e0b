package escalate

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble is the clock of a synctest bubble.
type bubble struct{}

func (bubble) Now() clock.Instant {
	return clock.Instant{Boot: time.Duration(time.Now().UnixNano()), Wall: time.Now()}
}
func (bubble) BootID() string { return "boot" }

// write is one queued change.
type write struct {
	key   string
	value []byte // nil: delete
}

// disk is a journal's space that knows what a crash would leave.
type disk struct {
	mu      sync.Mutex
	durable map[string][]byte
	queue   []write
	full    bool
	step    func() // called at every change
}

var _ Store = (*disk)(nil)

func newDisk() *disk { return &disk{durable: map[string][]byte{}, step: func() {}} }

func (d *disk) PutSoon(key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.add(write{key, value})
}

func (d *disk) DeleteSoon(key string) error { return d.add(write{key, nil}) }

func (d *disk) add(w write) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no space left on device")
	}
	d.queue = append(d.queue, w)
	d.step()
	return nil
}

func (d *disk) Flush(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no space left on device")
	}
	d.durable = after(d.durable, d.queue)
	d.queue = nil
	d.step()
	return nil
}

func (d *disk) Each(f func(string, func(any) error) error) error {
	d.mu.Lock()
	all := after(d.durable, d.queue)
	d.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(key, filePrefix) && !strings.HasPrefix(key, messagePrefix) {
			continue
		}
		if err := f(key, func(v any) error { return json.Unmarshal(all[key], v) }); err != nil {
			return err
		}
	}
	return nil
}

// after is what is there once the writes are done.
func after(durable map[string][]byte, queue []write) map[string][]byte {
	out := maps.Clone(durable)
	for _, w := range queue {
		if w.value == nil {
			delete(out, w.key)
		} else {
			out[w.key] = w.value
		}
	}
	return out
}

// mailbox is one notifier and what it was sent.
type mailbox struct {
	mu    sync.Mutex
	got   []string // "kind key", as they arrived
	tried []time.Time
	// answer decides about the n-th try, from 1. nil: takes all. A message that is answered with an error
	// whose Reached is set has arrived.
	answer func(ctx context.Context, n int, m notify.Message) error
}

func (b *mailbox) Send(ctx context.Context, m notify.Message) error {
	b.mu.Lock()
	b.tried = append(b.tried, time.Now())
	n, answer := len(b.tried), b.answer
	b.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, n, m)
	}
	if err == nil || notify.Classify(err).Reached {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, string(m.Kind)+" "+m.Key)
	}
	return err
}

func (b *mailbox) received() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.got, ", ")
}

// reports collects results as text.
type reports struct {
	mu   sync.Mutex
	list []Result
}

func (r *reports) add(one Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, one)
}

func (r *reports) texts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, one := range r.list {
		text := one.Notifier + " " + one.Key + " told"
		if one.Err != nil {
			text = one.Notifier + " " + one.Key + " " + one.Err.Error()
			if one.Final {
				text += " (final)"
			}
		}
		out = append(out, text)
	}
	return out
}

// rig is a courier at work in a synctest bubble.
type rig struct {
	*Courier
	disk    *disk
	reports *reports
	stop    func()
}

func start(t *testing.T, d *disk, senders map[string]notify.Sender, change func(*Options)) *rig {
	t.Helper()
	r := &rig{disk: d, reports: &reports{}}
	o := Options{Store: d, Senders: senders, Clock: bubble{}, Host: "web-1", Report: r.reports.add}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Courier = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	r.stop = func() {
		cancel()
		<-done
	}
	return r
}

func story(state incident.State) incident.Incident {
	now := clock.Now(bubble{})
	return incident.Incident{
		ID: "0a", Title: "checkout is down", State: state, Severity: "critical", Opened: now, Ended: now,
	}
}

func trigger(step int, notifiers ...string) incident.Delivery {
	return incident.Delivery{Key: "0a/" + string(rune('0'+step)) + "/0", Step: step, Notify: notifiers}
}

func bye(notifiers ...string) incident.Delivery {
	return incident.Delivery{Key: "0a/resolved", Notify: notifiers}
}
