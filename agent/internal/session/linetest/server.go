// Package linetest is a controller for tests of the agent: one node that speaks the line as the real one does and
// refuses what the real one refuses. It judges no capacity; what it answers beyond the protocol, tests say. What
// no agent may ever do is an error of the test: a number used twice, a gap between events, a session that speaks
// for another one, an order confirmed that was never given.
package linetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Fails is where breaches of the protocol are told; testing.TB is one.
type Fails interface {
	Errorf(format string, args ...any)
}

// Server is one node that leads. All its methods may be called from any goroutine.
type Server struct {
	fails Fails

	mu sync.Mutex
	tables
	seen     map[string][]byte // every event that was ever told, by stream and number
	line     map[*stream]bool  // open streams
	down     bool              // nobody can be reached
	mute     bool              // hellos are committed and never answered
	deaf     bool              // pings are not answered
	hold     bool              // requests are committed and not answered
	last     *agentpb.ConnectResponse
	refuse   *logpb.Refusal // the answer to every request; nil: what the tables say
	runFor   int64          // of grants, nanoseconds; 0: the default
	log      []string
	held     []func() // answers that wait
	hellos   int
	evidence map[string]string // by digest
}

// tables are what a backup has.
type tables struct {
	generation            string
	index, epochs, tokens uint64
	standing              uint64
	ids                   int
	hosts                 map[string]*host
	permits               map[permit.Token]*logpb.Permit
	pauses                []*logpb.Pause
	changes               []*logpb.Change
	breakers              []*logpb.Breaker
	windows               []*logpb.Window
	services              map[string]*agentpb.ServiceOrder
	incidents             map[string]*agentpb.IncidentOrder // by the agent's names
	bundles               []delivered
	escalates             bool // hand-overs are told to people
}

// host is one host as the node knows it.
type host struct {
	id, fingerprint, boot, nonce, stream string
	epoch, lastN, mark, confirmed        uint64
	lastToken                            permit.Token
	serving                              map[string]logpb.Serving
	awaited                              bool
	events                               []*logpb.Event
	bundles                              []*logpb.HostBundle // as it says
	session                              *stream             // the one that counts; nil: none is open
}

// New is a node in the generation "g1".
func New(f Fails) *Server {
	return &Server{
		fails: f, seen: map[string][]byte{}, line: map[*stream]bool{}, evidence: map[string]string{},
		tables: tables{
			generation: "g1", index: 1, standing: 1, hosts: map[string]*host{}, permits: map[permit.Token]*logpb.Permit{},
			services: map[string]*agentpb.ServiceOrder{}, incidents: map[string]*agentpb.IncidentOrder{}, escalates: true,
		},
	}
}

// flaw notes what no agent may do.
func (s *Server) flaw(format string, args ...any) { s.fails.Errorf("linetest: "+format, args...) }

func (s *Server) say(format string, args ...any) { s.log = append(s.log, fmt.Sprintf(format, args...)) }

// Log is what has happened since the last call: "grant 1@g1 restart", "refuse cap", "settle 1@g1 serving".
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.log, "\n")
	s.log = nil
	return out
}

// Pings is how often the agent of a host has been heard in its session, 0 without one.
func (s *Server) Pings(host string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil && h.session != nil {
		return h.session.ping
	}
	return 0
}

// Permits are the tokens that are open, in order.
func (s *Server) Permits() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for t, p := range s.permits {
		text := t.String()
		if p.GetUnknown() {
			text += " unknown"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// Permit is an open one, nil if it is not.
func (s *Server) Permit(t permit.Token) *logpb.Permit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return proto.CloneOf(s.permits[t])
}

// Counts reports whether a permit is open, so that whoever acts under it is counted.
func (s *Server) Counts(t permit.Token) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.permits[t] != nil
}

// Services are what a host's last hello and what came after it named, in order.
func (s *Server) Services(host string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil {
		return slices.Sorted(maps.Keys(h.serving))
	}
	return nil
}

// Serving is what a host has said of a service.
func (s *Server) Serving(host, service string) logpb.Serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil {
		return h.serving[service]
	}
	return logpb.Serving_SERVING_UNSPECIFIED
}

// Confirmed is the newest version of the standing orders that a host has on its disk, and what it is.
func (s *Server) Confirmed(host string) (confirmed, now uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil {
		confirmed = h.confirmed
	}
	return confirmed, s.standing
}

// Events are those of a host's stream, without those that say nothing.
func (s *Server) Events(host string) []*logpb.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil {
		return slices.DeleteFunc(slices.Clone(h.events), func(e *logpb.Event) bool { return e.GetWhat() == nil })
	}
	return nil
}

// Evidence is the text that was handed over under a digest.
func (s *Server) Evidence(digest []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evidence[string(digest)]
}

// Hellos is how many came.
func (s *Server) Hellos() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hellos
}

// Hosts are the IDs of the hosts that have said hello, in order.
func (s *Server) Hosts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.hosts))
}

// Live reports whether a session of the host is open.
func (s *Server) Live(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[host] != nil && s.hosts[host].session != nil
}

// Backup is a copy of the tables, for Restore.
func (s *Server) Backup() func(generation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.tables.copied()
	return func(generation string) { s.restore(kept, generation) }
}

func (t *tables) copied() tables {
	c := *t
	c.hosts, c.permits = map[string]*host{}, map[permit.Token]*logpb.Permit{}
	for id, h := range t.hosts {
		other := *h
		other.session, other.serving, other.events = nil, maps.Clone(h.serving), slices.Clone(h.events)
		c.hosts[id] = &other
	}
	for token, p := range t.permits {
		c.permits[token] = proto.CloneOf(p)
	}
	c.services, c.incidents = maps.Clone(t.services), maps.Clone(t.incidents)
	c.pauses, c.breakers, c.windows = slices.Clone(t.pauses), slices.Clone(t.breakers), slices.Clone(t.windows)
	c.changes = slices.Clone(t.changes)
	return c
}

// restore brings an old copy up. In another generation everything is paused, and every host is awaited.
func (s *Server) restore(kept tables, generation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut(nil)
	s.tables = kept.copied()
	if generation != s.generation { // else its disk was rolled back, and nobody has noticed
		s.renew(generation)
	}
}

// renew turns the page.
func (s *Server) renew(generation string) {
	s.generation = generation
	for _, h := range s.hosts {
		h.awaited = true
	}
	s.ids++
	s.pauses = append(s.pauses, &logpb.Pause{Id: fmt.Sprintf("pause-%d", s.ids), Scope: "all", By: "controller",
		Reason: "a new generation began", Generation: true})
	s.bind()
}

// Cut ends every stream, as a node does that loses the leadership.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut(nil)
}

func (s *Server) cut(word *agentpb.ConnectResponse) {
	for st := range s.line {
		st.end(word)
	}
}

// Down makes the node unreachable, and reachable again. Streams break without a word.
func (s *Server) Down(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down = down; down {
		s.cut(nil)
	}
}

// Mute lets hellos be committed and their answers be lost, until it is called with false.
func (s *Server) Mute(mute bool) { s.set(func() { s.mute = mute }) }

// Deaf lets pings go unanswered: the link carries one way only.
func (s *Server) Deaf(deaf bool) { s.set(func() { s.deaf = deaf }) }

// Hold keeps answers to requests back; they come when it is called with false, if the session still lasts.
func (s *Server) Hold(hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold = hold; !hold {
		for _, answer := range s.held {
			answer()
		}
		s.held = nil
	}
}

// Last makes every hello be answered with a last word, such as a redirect; nil ends that.
func (s *Server) Last(word *agentpb.ConnectResponse) { s.set(func() { s.last = word }) }

// Refuse makes every request be refused with the code; "" ends that.
func (s *Server) Refuse(code, text string, retryAfter int64) {
	s.set(func() {
		s.refuse = nil
		if code != "" {
			s.refuse = &logpb.Refusal{Code: code, Text: text, RetryAfter: retryAfter}
		}
	})
}

// RunFor is how long permits are good for that are granted from now on, nanoseconds.
func (s *Server) RunFor(d int64) { s.set(func() { s.runFor = d }) }

func (s *Server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}
