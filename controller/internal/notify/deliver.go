package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/state"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of bringing.
const (
	maxFlights  = 8 // messages on their way at a time
	maxPerPlace = 2 // of them to one place, so that one that hangs does not hold up the others
	lookEvery   = 5 * time.Second
	lookRest    = 50 * time.Millisecond // between two looks
	commitTime  = 5 * time.Second       // for the log to take a claim
	reportTime  = 30 * time.Second      // for it to take how a message went
	reportLast  = 2 * time.Second       // when this node stops, or leads no more
	reportRest  = 500 * time.Millisecond
)

// thread is one incident, by its name there, in one place: its messages go there one after the other.
type thread struct{ name, notifier string }

func threadOf(d *logpb.Delivery) thread { return thread{state.Subject(d.GetKey()), d.GetNotifier()} }

// bring sends what is due, until ctx ends.
func (c *Courier) bring(ctx context.Context, wg *sync.WaitGroup) {
	for {
		changed := c.o.Replica.Changed()
		_, swapped := c.at()
		for _, d := range c.due() {
			if !c.begin(ctx, d) {
				continue
			}
			wg.Go(func() {
				defer c.end(d)
				c.fly(ctx, d)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookRest):
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-swapped:
		case <-time.After(lookEvery):
		}
	}
}

// due are the messages that may be claimed now, as copies, no more than could be sent.
func (c *Courier) due() []*logpb.Delivery {
	var out []*logpb.Delivery
	c.o.Replica.View(func(s *state.State) {
		for _, d := range s.DeliveriesDue() {
			if len(out) < maxFlights*maxFlights && !c.isFlying(d) {
				out = append(out, proto.CloneOf(d))
			}
		}
	})
	return out
}

func (c *Courier) isFlying(d *logpb.Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flying[threadOf(d)]
}

// begin takes a place among the flights; false: there is none now.
func (c *Courier) begin(ctx context.Context, d *logpb.Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil || c.flying[threadOf(d)] || c.busy[d.GetNotifier()] >= maxPerPlace {
		return false
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return false
	}
	c.flying[threadOf(d)] = true
	c.busy[d.GetNotifier()]++
	return true
}

func (c *Courier) end(d *logpb.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flying, threadOf(d))
	if c.busy[d.GetNotifier()]--; c.busy[d.GetNotifier()] == 0 {
		delete(c.busy, d.GetNotifier())
	}
	<-c.slots
}

// fly brings one message: commit, send, commit. What is on its way when the leadership ends is sent to its end; if
// nobody hears how that went, the next leader sends it again under the same key.
func (c *Courier) fly(ctx context.Context, d *logpb.Delivery) {
	if !c.claim(ctx, d) {
		return
	}
	places, _ := c.at()
	sender := places.Senders[d.GetNotifier()]
	m, wanted := c.render(d)
	var failure *pkgnotify.Error
	switch {
	case sender == nil:
		failure = pkgnotify.Classify(pkgnotify.Permanent(fmt.Errorf("node %s has no notifier %q", c.o.ID, d.GetNotifier())))
	case d.GetRepeat() > 0 && pkgnotify.MannerOf(sender).SwallowsRepeats:
		failure = pkgnotify.Classify(pkgnotify.Permanent(errors.New("a repeat would call nobody there")))
	case !wanted:
		failure = pkgnotify.Classify(errors.New("the incident has ended meanwhile"))
	default:
		failure = pkgnotify.Classify(sender.Send(context.WithoutCancel(ctx), m))
	}
	c.report(ctx, d, failure)
}

// claim says in the log that this node is about to send. Its refusal means: not now.
func (c *Courier) claim(ctx context.Context, d *logpb.Delivery) bool {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	r, _, err := c.o.Arbiter.Propose(ctx, delivered(d, c.o.ID, logpb.DeliveryState_DELIVERY_STATE_CLAIMED, nil))
	return err == nil && r.GetRefusal() == nil
}

// report says in the log how it went.
func (c *Courier) report(ctx context.Context, d *logpb.Delivery, failure *pkgnotify.Error) {
	became := logpb.DeliveryState_DELIVERY_STATE_TOLD
	switch {
	case failure == nil:
		c.metrics.told.WithLabelValues(d.GetNotifier()).Inc()
		c.log.Info("message delivered", "key", d.GetKey(), "notifier", d.GetNotifier(), "kind", d.GetKind())
	case failure.Permanent:
		became = logpb.DeliveryState_DELIVERY_STATE_REFUSED
	default:
		became = logpb.DeliveryState_DELIVERY_STATE_FAILED
	}
	if failure != nil {
		c.metrics.failed.WithLabelValues(d.GetNotifier()).Inc()
		c.log.Warn("message not delivered", "key", d.GetKey(), "notifier", d.GetNotifier(), "for good", failure.Permanent,
			"error", failure.Err)
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(reportLast, cancel) })()
	for {
		_, _, err := c.o.Arbiter.Propose(within, delivered(d, c.o.ID, became, failure))
		if err == nil || within.Err() != nil || errors.As(err, new(arbiter.ErrNotLeader)) {
			return
		}
		select {
		case <-within.Done():
			return
		case <-time.After(reportRest):
		}
	}
}

func delivered(d *logpb.Delivery, node string, became logpb.DeliveryState, failure *pkgnotify.Error) *logpb.Command {
	out := &logpb.Delivered{Key: d.GetKey(), Notifier: d.GetNotifier(), State: became, Node: node}
	if failure != nil {
		out.Error, out.RetryAfter, out.Reached = printable(failure.Error()), int64(failure.RetryAfter), failure.Reached
	}
	return &logpb.Command{What: &logpb.Command_Delivered{Delivered: out}}
}

// repeat sends the newest message of open incidents again to places that forget, until ctx ends. That is no new
// message, so it is not in the log.
func (c *Courier) repeat(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	c.mu.Lock()
	c.again = map[thread]time.Time{} // another leader may have sent meanwhile; once more does no harm
	c.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		places, _ := c.at()
		for notifier, sender := range places.Senders {
			if every := pkgnotify.MannerOf(sender).Again; every > 0 {
				c.repeatTo(ctx, notifier, sender, every)
			}
		}
	}
}

// repeatTo sends again to one place what is due there.
func (c *Courier) repeatTo(ctx context.Context, notifier string, sender pkgnotify.Sender, every time.Duration) {
	newest := c.newest(notifier)
	c.mu.Lock()
	for t := range c.again {
		if t.notifier == notifier && newest[t.name] == nil {
			delete(c.again, t)
		}
	}
	c.mu.Unlock()
	for name, d := range newest {
		t := thread{name, notifier}
		c.mu.Lock()
		last, known := c.again[t]
		c.mu.Unlock()
		if known && time.Since(last) < every || !c.begin(ctx, d) {
			continue
		}
		if m, wanted := c.render(d); wanted {
			if err := sender.Send(ctx, m); err == nil {
				c.mu.Lock()
				c.again[t] = time.Now()
				c.mu.Unlock()
			} else if ctx.Err() == nil {
				c.log.Warn("message not repeated", "key", d.GetKey(), "notifier", notifier, "error", err)
			}
		}
		c.end(d)
	}
}

// newest is the newest message that a place was told of each open incident, by the incident's name there.
func (c *Courier) newest(notifier string) map[string]*logpb.Delivery {
	out := map[string]*logpb.Delivery{}
	c.o.Replica.View(func(s *state.State) {
		for _, i := range s.Incidents() {
			if i.GetState() == logpb.IncidentState_INCIDENT_STATE_RESOLVED || !slices.Contains(i.GetTold(), notifier) {
				continue
			}
			for _, d := range s.DeliveriesOf(i.GetId()) {
				if d.GetNotifier() == notifier && d.GetState() == logpb.DeliveryState_DELIVERY_STATE_TOLD {
					out[state.Subject(d.GetKey())] = proto.CloneOf(d)
				}
			}
		}
	})
	return out
}
