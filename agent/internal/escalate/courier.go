// Package escalate brings the messages of incidents to people. A message is committed to the journal, sent, and
// its delivery is committed: it arrives at least once, and duplicates share its key. What a crash leaves behind
// is sent by the next life of the agent.
package escalate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

// Reasons for which a message reaches nobody. They come in Result.Err.
var (
	ErrNobody  = errors.New("there is no notifier: nobody is told")
	ErrUnknown = errors.New("there is no such notifier")
	ErrFull    = errors.New("too many messages wait")
	ErrGivenUp = errors.New("given up")
	ErrEnded   = errors.New("the incident has ended")
)

// Store keeps records; *journal.Space is one. PutSoon and DeleteSoon do not wait, what they were given is durable in
// order, and all of it after Flush.
type Store interface {
	PutSoon(key string, v any) error
	DeleteSoon(key string) error
	Each(f func(key string, decode func(v any) error) error) error
	Flush(ctx context.Context) error
}

var _ Store = (*journal.Space)(nil)

// Options of New. Store and Clock are mandatory.
type Options struct {
	Store   Store
	Senders map[string]notify.Sender // by notifier ID
	Clock   clock.Clock
	Host    string       // name of this host, as people know it
	Log     hclog.Logger // nil: silent
	// Report is told what became of each message, in order, by one goroutine. nil: nobody asks.
	Report func(Result)
	// Incident is Journal.Incident, to see at the start which incidents have ended meanwhile. nil: not looked at.
	Incident func(id string) (*incident.Incident, error)
	Limits   Limits // zero fields: DefaultLimits
}

// Result is what became of one message for one notifier.
type Result struct {
	Incident string
	Notifier string // "" with ErrNobody
	Key      string
	Err      error // nil: delivered
	Final    bool  // with Err: it will not be tried again
}

// Courier is the delivery loop. Send may be called before Run and from any goroutine.
type Courier struct {
	o   Options
	log hclog.Logger

	mu      sync.Mutex
	files   map[string]*file
	places  map[string]*place
	waiting int
	seq     uint64
	results []Result
	spent   []string // messages that nobody needs any more

	wake chan struct{}
}

// place is one notifier.
type place struct {
	sender notify.Sender
	busy   bool
	fails  int       // in a row
	next   time.Time // not to be tried before
}

// New reads what waits from an earlier life. Nothing is sent before Run.
func New(o Options) (*Courier, error) {
	if o.Store == nil || o.Clock == nil {
		return nil, errors.New("start courier: Store and Clock are mandatory")
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	o.Limits = o.Limits.withDefaults()
	files, err := load(o.Store)
	if err != nil {
		return nil, fmt.Errorf("read waiting messages: %w", err)
	}
	c := &Courier{
		o: o, log: o.Log.Named("escalate"), files: files, places: map[string]*place{}, wake: make(chan struct{}, 1),
	}
	for _, f := range files {
		for _, j := range f.Jobs {
			c.seq++
			j.seq = c.seq
			if j.State == waiting {
				c.waiting++
			}
		}
	}
	c.SetSenders(o.Senders)
	return c, nil
}

// SetSenders replaces the notifiers after a reload. What waits for one that is gone is refused.
func (c *Courier) SetSenders(senders map[string]notify.Sender) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.places {
		c.places[id].sender = nil
	}
	for id, s := range senders {
		if c.places[id] == nil {
			c.places[id] = new(place)
		}
		p := c.places[id]
		p.sender, p.fails, p.next = s, 0, time.Time{}
	}
	c.poke()
}

// Waiting is how many messages wait to be delivered.
func (c *Courier) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// Send queues the message for every notifier of d, under its key. It does not wait, and i may be changed once it
// returns. If i is resolved the message is its farewell: it goes to those who were told or may have been,
// and what still waits of the incident is dropped. A message that was queued before is not queued again.
//
// Call it before the incident is journaled as told or resolved: then a crash in between loses nothing.
func (c *Courier) Send(i incident.Incident, d incident.Delivery) {
	message := c.render(&i, &d)
	now := clock.Now(c.o.Clock)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.poke()
	f := c.files[i.ID]
	if f == nil {
		f = &file{Incident: i.ID}
		c.files[i.ID] = f
	}
	if message.Kind == notify.Resolve {
		c.farewell(f, message, d.Notify, now)
		return
	}
	if !f.Closed.IsZero() {
		c.log.Warn("message not sent", "incident", i.ID, "key", d.Key, "error", ErrEnded)
		return
	}
	if len(d.Notify) == 0 {
		c.report(Result{Incident: i.ID, Key: d.Key, Err: ErrNobody, Final: true})
	}
	for _, notifier := range d.Notify {
		if c.waiting >= c.o.Limits.Waiting {
			c.report(Result{Incident: i.ID, Notifier: notifier, Key: d.Key, Err: ErrFull, Final: true})
			continue
		}
		c.add(f, message, notifier, now)
	}
	c.save(f)
}

// add queues one job, unless there is one.
func (c *Courier) add(f *file, m notify.Message, notifier string, now clock.Stamp) {
	if f.find(m.Key, notifier) != nil {
		return
	}
	if !f.waits(m.Key) {
		c.try("queue message", c.o.Store.PutSoon(messagePrefix+m.Key, m))
	}
	c.seq++
	c.waiting++
	f.Jobs = append(f.Jobs, &job{
		Key: m.Key, Notifier: notifier, Farewell: m.Kind == notify.Resolve, Since: now, State: waiting,
		seq: c.seq, text: m,
	})
	f.trim(c.o.Limits.Jobs)
}

// farewell ends a file: nothing of it is sent any more but the farewell. A message that is on its way right now
// comes to its end first; if it arrives, its receiver gets the farewell after it.
func (c *Courier) farewell(f *file, m notify.Message, told []string, now clock.Stamp) {
	if !f.Closed.IsZero() {
		return
	}
	f.Closed = now
	for _, notifier := range told {
		if !f.knows(notifier) { // told by an earlier journal
			f.tell(notifier)
		}
	}
	receivers := slices.Clone(f.Told)
	for _, j := range f.Jobs {
		if j.State != waiting {
			continue
		}
		if j.flying {
			receivers = append(receivers, j.Notifier)
			continue
		}
		c.end(f, j, dropped)
	}
	slices.Sort(receivers)
	for _, notifier := range slices.Compact(receivers) {
		c.add(f, m, notifier, now)
	}
	c.save(f)
}

// end settles a job. When no other job needs its message, the next save forgets it.
func (c *Courier) end(f *file, j *job, s state) {
	j.State, j.text = s, notify.Message{}
	c.waiting--
	if !f.waits(j.Key) {
		c.spent = append(c.spent, messagePrefix+j.Key)
	}
}

// save writes the file, and only then forgets messages: a job that still waits on disk finds its message there.
func (c *Courier) save(f *file) {
	c.try("journal deliveries", c.o.Store.PutSoon(filePrefix+f.Incident, f))
	for _, key := range c.spent {
		c.try("forget message", c.o.Store.DeleteSoon(key))
	}
	c.spent = nil
}

// try logs a failure of the store. People are told all the same: a full disk is no reason for silence.
func (c *Courier) try(what string, err error) {
	if err != nil {
		c.log.Error("cannot "+what, "error", err)
	}
}

// report queues a result for Options.Report. Send is called by the engine's goroutine, which must not be asked to
// take a result in the middle of it.
func (c *Courier) report(r Result) {
	if r.Err != nil && r.Final {
		c.log.Error("message not delivered", "incident", r.Incident, "notifier", r.Notifier, "key", r.Key, "error", r.Err)
	}
	c.results = append(c.results, r)
}

func (c *Courier) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// byAge orders jobs: those tried least first, so that one that always fails does not block the others.
func byAge(a, b *job) int { return cmp.Or(cmp.Compare(a.tries, b.tries), cmp.Compare(a.seq, b.seq)) }
