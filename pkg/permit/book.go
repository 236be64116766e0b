package permit

import (
	"slices"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// maxKept is how many settled permits are remembered, for a controller that was restored and asks again.
const maxKept = 1000

// Options of a book.
type Options struct {
	Host    string        // ID of this host
	BootID  string        // this boot of the machine
	Started time.Duration // CLOCK_BOOTTIME at which this process began
}

// Restored is what an earlier process left of a permitted attempt.
type Restored struct {
	Attempt, Incident, Service, Rule, Remedy string
	Held
	// Settlement is how it ended; "": it has not, and this process goes on with it.
	Settlement Settlement
	// Cleared: it was unknown, and the controller knows that nothing of it runs.
	Cleared bool
}

// Book is what one agent process knows of its permits. It is not safe for concurrent use.
type Book struct {
	o      Options
	record Record

	live  bool           // a session is established: its epoch is the record's
	n     uint64         // the last request of this epoch
	alone uint64         // attempts of this process that began without asking
	queue []*asked       // requests in order; the first may be on its way
	order []*entry       // permits, oldest first
	stop  map[Token]bool // that standing orders ask to stop

	roundTrip time.Duration // when the last ping was sent that was answered; at first, when the process began
	helloSent time.Duration // when a hello was last sent: it may be answered and the answer be lost
}

// asked is a request that is not answered.
type asked struct {
	Ask
	n    uint64        // 0: not sent
	sent time.Duration // before its first sending
	gone bool          // nobody waits for it any more
}

// stage is how far an entry came.
type stage int

const (
	granted stage = iota
	begun         // the intent goes to disk
	acting        // the action may have begun
	ended
)

// entry is one permit that this host holds, or held.
type entry struct {
	attempt, incident, service, rule, remedy string
	Held
	stage    stage
	startBy  time.Duration
	asDown   bool
	claims   []Claim // what was seen when it was asked for
	restored bool    // of an earlier process, which may have acted
	revoked  bool

	settlement Settlement
	reason     string
	doubted    bool          // the controller counts it as unknown: only Cleared ends it there
	told       bool          // the controller has the settlement
	sent       time.Duration // when the settlement was last sent in this session
	again      time.Duration // not before
	ready      bool          // after unknown: nothing of it runs, and the host serves
}

// New is the book of a process that begins with what the journal has.
func New(o Options, r Record, past []Restored) *Book {
	b := &Book{o: o, record: r, roundTrip: o.Started}
	for _, p := range past {
		e := &entry{attempt: p.Attempt, incident: p.Incident, service: p.Service, rule: p.Rule, remedy: p.Remedy,
			Held: p.Held, stage: acting, restored: true}
		if p.Settlement != "" {
			// Whether the controller has it, its next welcome tells.
			e.stage, e.settlement, e.told = ended, p.Settlement, p.Settlement != Unknown || p.Cleared
			if p.Settlement == Unknown && p.Cleared {
				e.settlement = Cleared
			}
		}
		b.add(e)
	}
	return b
}

// Record is what must be on disk.
func (b *Book) Record() Record {
	r := b.record
	r.Left = slices.Clone(r.Left)
	return r
}

// Live reports whether a session is established, and its epoch.
func (b *Book) Live() (epoch uint64, live bool) { return b.record.Epoch, b.live }

// add remembers an entry, and forgets the oldest settled one beyond what is kept.
func (b *Book) add(e *entry) {
	b.order = append(b.order, e)
	if len(b.order) <= maxKept {
		return
	}
	if i := slices.IndexFunc(b.order, func(e *entry) bool { return e.stage == ended && e.told }); i >= 0 {
		b.order = slices.Delete(b.order, i, i+1)
	}
}

// byToken finds a permit, nil if there is none.
func (b *Book) byToken(t Token) *entry {
	for _, e := range b.order {
		if e.Token == t {
			return e
		}
	}
	return nil
}

// byAttempt finds the permit of an attempt, nil if it has none.
func (b *Book) byAttempt(id string) *entry {
	for _, e := range b.order {
		if e.attempt == id && id != "" {
			return e
		}
	}
	return nil
}

// running is what has not ended.
func (b *Book) running() []*logpb.Running {
	var out []*logpb.Running
	for _, e := range b.order {
		unknown := e.settlement == Unknown
		if e.stage == begun || e.stage == acting || unknown {
			out = append(out, &logpb.Running{
				Token: e.Token.Proto(), Epoch: e.Epoch, Incident: e.incident, Targets: protos(e.Targets), Remedy: e.remedy,
				Rule: e.rule, Digest: e.Digest, Unknown: unknown,
			})
		}
	}
	return out
}

func protos(targets []Target) []*logpb.Target {
	out := make([]*logpb.Target, len(targets))
	for i, t := range targets {
		out[i] = t.proto()
	}
	return out
}

// Open reports how many permits this host holds that are not settled.
func (b *Book) Open() int {
	n := 0
	for _, e := range b.order {
		if e.stage != ended || !e.told {
			n++
		}
	}
	return n
}
