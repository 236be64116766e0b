package journal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// Outbox is what the controller has to be told: events in one stream, with numbers without gaps. They are
// kept until the controller has them and a day longer, because it may be restored from an old copy.
//
//	Add ─► waits for the record that it goes with ─► on disk ─► Read, sent ─► Ack ─► a day ─► gone
//
// A number whose event is gone, or was left out to save room, is handed out as an event that says nothing.
// Alerts that are not acknowledged are never left out.
type Outbox struct {
	j *Journal

	mu      sync.Mutex
	stream  string
	next    uint64          // number of the next event
	opened  uint64          // number of the last event that an earlier process left
	durable uint64          // events up to this one are on disk
	gone    uint64          // events up to this one are no longer kept
	acked   uint64          // the controller has every event up to this one
	seen    []seen          // when it had how many
	moved   map[moved]moved // alerts that got another number when the stream was replaced
	waiting []*logpb.Event  // not given to the queue yet
	tail    []*logpb.Event  // not known to be on disk, those that wait included
	moving  bool            // the stream was replaced, and the disk has the old one
	wake    chan struct{}
}

// seen says that at a moment every event up to N was acknowledged.
type seen struct {
	N  uint64      `json:"n"`
	At clock.Stamp `json:"at"`
}

// moved names an alert by stream and number.
type moved struct {
	Stream string `json:"stream"`
	N      uint64 `json:"n"`
}

func (m moved) String() string { return fmt.Sprintf("%s/%d", m.Stream, m.N) }

// Outbox opens the outbox, making one if there is none. A journal has one; it can be opened once.
func (j *Journal) Outbox() (*Outbox, error) {
	o := &Outbox{j: j, moved: map[moved]moved{}, wake: make(chan struct{}, 1)}
	if err := o.load(); err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	if !j.outbox.CompareAndSwap(nil, o) {
		return nil, errors.New("open outbox: it is open already")
	}
	return o, nil
}

// load reads where the outbox stands.
func (o *Outbox) load() error {
	m, last, err := o.read()
	if err != nil {
		return err
	}
	if m.Stream == "" {
		m.Stream = newID()
		if err := o.j.enqueue(marksOp(m)); err != nil {
			return err
		}
	}
	o.stream, o.gone, o.acked, o.seen = m.Stream, m.Gone, m.Acked, m.Seen
	for from, to := range m.Moved {
		stream, n, _ := strings.Cut(from, "/")
		was := moved{Stream: stream}
		if _, err := fmt.Sscan(n, &was.N); err == nil {
			o.moved[was] = to
		}
	}
	// What was acknowledged may be more than the disk has: it had taken nothing when the agent died.
	o.durable = max(last, m.Gone, m.Acked)
	o.next, o.opened = o.durable+1, o.durable
	return nil
}

// read returns the marks and the number of the last event.
func (o *Outbox) read() (marks, uint64, error) {
	type result struct {
		marks
		last uint64
	}
	r, err := read(o.j, func(tx *bbolt.Tx) (r result, err error) {
		b := tx.Bucket([]byte(bucketOutbox))
		if b == nil {
			return r, nil
		}
		if err := readRecord(tx, bucketOutbox, keyMarks, &r.marks); err != nil && !errors.Is(err, ErrNotFound) {
			return r, err
		}
		c := b.Cursor()
		k, _ := c.Seek([]byte(keyMarks)) // it comes after all events
		if k == nil {
			k, _ = c.Last()
		} else {
			k, _ = c.Prev()
		}
		r.last, _ = numberOf(k)
		return r, nil
	})
	return r.marks, r.last, err
}

// Stream is the ID of the event stream.
func (o *Outbox) Stream() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream
}

// Last is the number of the newest event, 0: there never was one.
func (o *Outbox) Last() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next - 1
}

// Opened is the number of the last event that an earlier process left, 0: none did. That is what a controller must
// be told first: an earlier process may have told it more than the disk took, and what this one has given the
// same numbers since is something else.
func (o *Outbox) Opened() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.opened
}

// Unacknowledged is how many events the controller does not have.
func (o *Outbox) Unacknowledged() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next - 1 - o.acked
}

// Wake is sent to when there is something new to read.
func (o *Outbox) Wake() <-chan struct{} { return o.wake }

// Add gives the event the next number. It reaches the disk together with the incident that is journaled next, so
// that neither is there without the other, or with Commit. It does not wait. The event belongs to the outbox from
// then on.
func (o *Outbox) Add(ev *logpb.Event) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := ev.GetResolved(); r != nil {
		o.rename(r.GetKey())
	}
	return o.add(ev)
}

// AddAlert is Add for an alert, which is known for ever by the stream and the number that it gets.
func (o *Outbox) AddAlert(with func(k incident.AlertKey) *logpb.Alert) incident.AlertKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := incident.AlertKey{Host: o.j.host, Stream: o.stream, N: o.next}
	a := with(k)
	a.Key = &logpb.AlertKey{Host: k.Host, Stream: k.Stream, N: k.N}
	o.add(&logpb.Event{What: &logpb.Event_Fired{Fired: a}})
	return k
}

// add takes an event. The caller holds mu.
func (o *Outbox) add(ev *logpb.Event) uint64 {
	ev.N = o.next
	o.next++
	sanitize(ev.ProtoReflect())
	bound(ev)
	o.waiting, o.tail = append(o.waiting, ev), append(o.tail, ev)
	if len(o.tail) > o.j.limits.OutboxTail {
		o.thinTail()
	}
	return ev.GetN()
}

// rename gives an alert's key its number in the stream of now.
func (o *Outbox) rename(k *logpb.AlertKey) {
	if to, ok := o.moved[moved{k.GetStream(), k.GetN()}]; ok {
		k.Stream, k.N = to.Stream, to.N
	}
}

// thinTail leaves story lines out of what the disk does not take: memory is bounded, alerts are not lost.
func (o *Outbox) thinTail() {
	half := o.tail[len(o.tail)/2].GetN()
	old := func(ev *logpb.Event) bool { return ev.GetN() < half && thin(ev) }
	before := len(o.tail)
	o.tail = slices.DeleteFunc(o.tail, old)
	o.waiting = slices.DeleteFunc(o.waiting, old)
	if left := before - len(o.tail); left > 0 {
		o.j.log.Warn("story lines for the controller are left out: the journal takes nothing", "lines", left)
	}
}

// thin reports whether the event may be left out when there is no room: a line of a story, without the outcome
// of an attempt and without evidence.
func thin(ev *logpb.Event) bool {
	s := ev.GetStory()
	return s.GetEvent() != nil && s.GetOutcome() == nil && len(s.GetEvidence()) == 0
}

// maxEvent bounds one event; what the engine says is far below it.
const maxEvent = 64 << 10

// bound cuts an event that is too large for one record: a line may lose words, an alert only its figures.
func bound(ev *logpb.Event) {
	if proto.Size(ev) <= maxEvent {
		return
	}
	if e := ev.GetStory().GetEvent(); e != nil {
		e.Fields, e.Text = nil, strings.ToValidUTF8(e.GetText()[:min(len(e.GetText()), maxEvent/16)], "")
	}
	if a := ev.GetFired(); a != nil {
		a.Values, a.Condition = nil, strings.ToValidUTF8(a.GetCondition()[:min(len(a.GetCondition()), maxEvent/16)], "")
	}
}

// Commit queues what waits without a record to go with.
func (o *Outbox) Commit() error { return o.with(nil) }

// with queues what waits together with the writes of a record: all or none.
func (o *Outbox) with(record []op) error {
	if o == nil {
		return errors.New("no outbox")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	ops := make([]op, 0, len(o.waiting)+len(record))
	for _, ev := range o.waiting {
		w, err := eventOp(ev)
		if err != nil {
			return err
		}
		ops = append(ops, w)
	}
	if err := o.j.enqueue(append(ops, record...)...); err != nil {
		return err
	}
	if len(o.waiting) > 0 {
		o.waiting = nil
		poke(o.wake)
	}
	return nil
}

// committed notes what is on disk now.
func (o *Outbox) committed(ops []op) {
	last, moved := uint64(0), false
	for _, w := range ops {
		switch {
		case w.bucket != bucketOutbox || w.dead:
		case w.prefix: // what came before is of the old stream
			last, moved = 0, true
		default:
			n, _ := numberOf([]byte(w.key))
			last = max(last, n)
		}
	}
	if last == 0 && !moved {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.moving = o.moving && !moved; !o.moving {
		o.durable = max(o.durable, last)
		o.tail = slices.DeleteFunc(o.tail, func(ev *logpb.Event) bool { return ev.GetN() <= o.durable })
	}
}
