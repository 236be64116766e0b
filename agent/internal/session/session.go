// Package session is the agent's line to the controller: one stream to the node that leads, made anew whenever
// it breaks, to any of the nodes. It tells events from the outbox, what this host serves, and how permitted
// attempts ended; it asks for permits and takes standing orders.
//
//	dial ─► hello (its nonce on disk) ─► welcome (its epoch on disk) ─► serve ─┐
//	 ▲                                                                         │ lost, redirected, turned away
//	 └────────────────────────── back-off, jittered ◄──────────────────────────┘
//
// What may be done with permits is judged by pkg/permit; this package brings times, disk and network to it.
// One goroutine talks to the node. Attempts ask the book directly, under a mutex that is never held while
// anything waits: the last question before an action must not queue behind a disk.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Store keeps records; *journal.Space is one. Put is durable on return.
type Store interface {
	Put(key string, v any) error
	PutSoon(key string, v any) error
	DeleteSoon(key string) error
	Get(key string, v any) (bool, error)
	Each(f func(key string, decode func(v any) error) error) error
}

// Outbox is what the node has to be told; *journal.Outbox is one.
type Outbox interface {
	Stream() string
	Last() uint64
	Opened() uint64
	Unacknowledged() uint64
	Wake() <-chan struct{}
	Read(ctx context.Context, after uint64, most int) ([]*logpb.Event, error)
	Ack(stream string, n uint64)
	Move(stream string) (map[uint64]uint64, error)
}

var (
	_ Store  = (*journal.Space)(nil)
	_ Outbox = (*journal.Outbox)(nil)
)

// Line is one stream to a node. Send and Recv may run side by side, and both end once it is closed.
type Line interface {
	Send(m *agentpb.ConnectRequest) error
	Recv() (*agentpb.ConnectResponse, error)
	// Keep hands over one piece of evidence beside the stream.
	Keep(ctx context.Context, first *agentpb.EvidenceRequest, text string) error
	// Figure asks for the answer to one of the controller's queries.
	Figure(ctx context.Context, r *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error)
	// Bundle fetches the content of a bundle of rules beside the stream.
	Bundle(ctx context.Context, r *agentpb.BundleRequest) (*agentpb.BundleResponse, error)
	Close()
}

// Options of New. All are required but those marked.
type Options struct {
	Host        string // ID of this host
	Name        string // as people know it
	Fingerprint string // of this machine
	Version     string
	Labels      map[string]string
	Addresses   []string // of the nodes; any will do
	Clock       clock.Clock
	Log         hclog.Logger // nil: silent
	Store       Store
	Outbox      Outbox
	Dial        func(ctx context.Context, address string) (Line, error)
	// Retry is closed when Dial may succeed where it has just failed, and no pause has to be waited out. nil: only time
	// helps.
	Retry func() <-chan struct{}
	// Past are the permitted attempts that earlier processes left.
	Past []permit.Restored

	// Orders takes over standing orders that are on disk, and returns when they hold. nil: nobody follows them.
	Orders func(ctx context.Context, o Orders) error
	// Moved says that the event stream was replaced, with the new numbers of alerts by their old ones. nil: nobody
	// remembers numbers.
	Moved func(from string, numbers map[uint64]uint64)
	// Changed says that a session began or ended. It must not wait. nil: nobody asks.
	Changed func(live bool)
	// Jitter is between 0 and 1. nil: random.
	Jitter func() float64
	// Step, if set, is called with the name of every step before it begins; tests die there.
	Step func(step string)
}

func (o *Options) validate() error {
	for name, missing := range map[string]bool{
		"Host": o.Host == "", "Addresses": len(o.Addresses) == 0, "Clock": o.Clock == nil, "Store": o.Store == nil,
		"Outbox": o.Outbox == nil, "Dial": o.Dial == nil, "Fingerprint": o.Fingerprint == "",
	} {
		if missing {
			return fmt.Errorf("session: option %s is missing", name)
		}
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Retry == nil {
		o.Retry = func() <-chan struct{} { return nil }
	}
	if o.Orders == nil {
		o.Orders = func(context.Context, Orders) error { return nil }
	}
	if o.Moved == nil {
		o.Moved = func(string, map[uint64]uint64) {}
	}
	if o.Changed == nil {
		o.Changed = func(bool) {}
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return nil
}

// Session is the agent's end of the line. Its methods may be called from any goroutine; all but Ask return at
// once.
type Session struct {
	o       Options
	log     hclog.Logger
	started clock.Instant
	wake    chan struct{} // there is something to say
	uploads uploads
	knows   chan struct{} // closed once it is known what this host serves
	knowing sync.Once

	mu       sync.Mutex
	book     *permit.Book
	met      bool                  // this process has been welcomed
	recorded bool                  // the record of the session is on disk; before that no permit counts
	waiting  map[string]chan error // attempts that wait for their permit
	reports  []*logpb.ServiceReport
	told     []*logpb.ServiceReport // what the node knows of them in this session
	orders   Orders                 // that hold
	line     Line                   // of the session that is established; nil: none is
	bundles  bundles
	status   status
}

// status is what people see of the line.
type status struct {
	address string        // of the node, while a session is established
	since   time.Duration // CLOCK_BOOTTIME of the last change
	failed  string        // why there is no session
}

// Names of records in the store.
const (
	keyRecord     = "record"
	keyOrders     = "orders"
	clearedPrefix = "cleared/"
)

// New takes up what an earlier process left. Nothing is sent before Run.
func New(o Options) (*Session, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Session{o: o, log: o.Log.Named("session"), started: o.Clock.Now(), wake: make(chan struct{}, 1),
		waiting: make(map[string]chan error), knows: make(chan struct{})}
	s.uploads.wake = make(chan struct{}, 1)
	s.status.since, s.status.failed = s.started.Boot, "not connected yet"
	var r permit.Record
	err := s.readRecord(&r)
	if err == nil {
		err = s.readOrders()
	}
	if err == nil {
		err = s.readCleared()
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	s.book = permit.New(permit.Options{Host: o.Host, BootID: o.Clock.BootID(), Started: s.started.Boot}, r, s.o.Past)
	return s, nil
}

// readRecord reads the record of the last session. One that cannot be understood is as good as none: then the
// controller takes this for a journal that went back in time, and doubts what was open.
func (s *Session) readRecord(r *permit.Record) error {
	var raw json.RawMessage
	found, err := s.o.Store.Get(keyRecord, &raw)
	if err != nil || !found {
		return err
	}
	*r, err = permit.ReadRecord(raw)
	if errors.Is(err, permit.ErrRecord) {
		s.log.Error("the record of the last session is damaged", "error", err)
		return nil
	}
	return err
}

// readCleared notes which doubted attempts the controller no longer counts.
func (s *Session) readCleared() error {
	return s.o.Store.Each(func(key string, _ func(any) error) error {
		name, ok := strings.CutPrefix(key, clearedPrefix)
		if !ok {
			return nil
		}
		for i := range s.o.Past {
			if tokenKey(s.o.Past[i].Token) == name {
				s.o.Past[i].Cleared = true
				return nil
			}
		}
		return s.o.Store.DeleteSoon(key) // its attempt is no longer kept
	})
}

func tokenKey(t permit.Token) string { return fmt.Sprintf("%s/%d", t.Generation, t.N) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *Session) now() time.Duration { return s.o.Clock.Now().Boot }

// State is the line at one moment.
type State struct {
	Live       bool
	Address    string        // of the node; "" without a session
	Failed     string        // why there is no session
	Since      time.Duration // how long it has been like that
	Epoch      uint64        // the last that was given
	Generation string        // "": none is known
	Silent     time.Duration // since the last round trip began
	Unsent     uint64        // events that the controller does not have
	Permits    int           // that this host holds
}

// State says how the line is.
func (s *Session) State() State {
	now, unsent := s.now(), s.o.Outbox.Unacknowledged()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := State{Address: s.status.address, Failed: s.status.failed, Since: now - s.status.since,
		Generation: s.book.Record().Generation, Silent: s.book.Silent(now), Unsent: unsent,
		Permits: s.book.Open()}
	st.Epoch, st.Live = s.book.Live()
	return st
}

// Generation is that of the controller, "" until one is known.
func (s *Session) Generation() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Record().Generation
}

// Lost reports whether the controller has been out of reach for so long that it takes this host for lost.
func (s *Session) Lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.Silent(s.now()) > permit.LostAfter
}

// Serving says what this host serves now; all of it, each time that something has changed. The session keeps it.
// Before the first time there is no hello: a controller would take this for a host that serves nothing any more.
func (s *Session) Serving(reports []*logpb.ServiceReport) {
	s.mu.Lock()
	s.reports = reports
	s.mu.Unlock()
	s.knowing.Do(func() { close(s.knows) })
	poke(s.wake)
}

// claims are what this host serves, for permits.
func claims(reports []*logpb.ServiceReport) []permit.Claim {
	out := make([]permit.Claim, len(reports))
	for i, r := range reports {
		out[i] = permit.Claim{Service: r.GetService(), Serving: r.GetServing()}
	}
	return out
}
