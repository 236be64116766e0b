package permit

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

const me = "h1"

// table is a controller that knows one host, by the rules that concern an agent: epochs, request numbers,
// tokens, settlements, generations. It is strict, and it can be restored from an old copy.
type table struct {
	generation string
	epochs     uint64
	tokens     uint64
	index      uint64
	host       hostRow
	permits    map[Token]*logpb.Permit
	paused     string
}

type hostRow struct {
	epoch, lastN uint64
	nonce        string
	last         Token
	awaited      bool
}

func newTable() *table {
	return &table{generation: "g1", index: 1, permits: map[Token]*logpb.Permit{}}
}

// copied is a backup.
func (s *table) copied() *table {
	c := *s
	c.permits = maps.Clone(s.permits)
	return &c
}

// restored is the backup as a controller: another generation, and every host has to say hello.
func (s *table) restored(generation string) *table {
	c := s.copied()
	c.generation, c.host.awaited = generation, true
	return c
}

func (s *table) hello(c *logpb.Hello) *logpb.Welcome {
	s.index++
	again := s.host.nonce == c.GetNonce()
	back := !again && c.GetLastEpoch() < s.host.epoch
	if !again {
		s.epochs = max(s.epochs, c.GetLastEpoch()) + 1
		s.host = hostRow{epoch: s.epochs, nonce: c.GetNonce()}
	}
	s.host.awaited = false
	if back {
		for _, p := range s.permits {
			p.Unknown = true
		}
	}
	for _, r := range c.GetRunning() {
		s.running(r)
	}
	w := &logpb.Welcome{Epoch: s.host.epoch, Generation: s.generation}
	for _, p := range s.permits {
		w.Permits = append(w.Permits, p)
	}
	return w
}

func (s *table) running(r *logpb.Running) {
	t := TokenOf(r.GetToken())
	if s.permits[t] == nil {
		if t.Generation == s.generation && t.N <= s.tokens {
			return
		}
		s.permits[t] = &logpb.Permit{Token: r.GetToken(), Epoch: r.GetEpoch(), Targets: r.GetTargets()}
	}
	if r.GetUnknown() {
		s.permits[t].Unknown = true
	}
}

func no(code string) *logpb.Refusal { return &logpb.Refusal{Code: code, Text: code} }

func (s *table) request(c *logpb.Request) (*logpb.Grant, *logpb.Refusal) {
	s.index++
	switch {
	case c.GetEpoch() != s.host.epoch:
		return nil, no("epoch")
	case s.host.awaited:
		return nil, no("awaited")
	case c.GetN() == 0 || c.GetN() < s.host.lastN:
		return nil, no("n")
	case c.GetN() == s.host.lastN && s.permits[s.host.last] == nil:
		return nil, no("settled")
	case c.GetN() > s.host.lastN && s.paused != "":
		return nil, no("paused")
	case c.GetN() > s.host.lastN:
		s.tokens++
		t := Token{s.generation, s.tokens}
		s.permits[t] = &logpb.Permit{Token: t.Proto(), Epoch: c.GetEpoch(), N: c.GetN(), Targets: c.GetTargets()}
		s.host.lastN, s.host.last = c.GetN(), t
	}
	down := len(c.GetClaims()) > 0 && c.GetClaims()[0].GetServing() == logpb.Serving_SERVING_DOWN
	return &logpb.Grant{Token: s.host.last.Proto(), Epoch: c.GetEpoch(), AsDown: down}, nil
}

func (s *table) settle(c *logpb.Settle) *logpb.Refusal {
	s.index++
	t := TokenOf(c.GetToken())
	p := s.permits[t]
	switch {
	case c.GetSessionEpoch() != s.host.epoch:
		return no("epoch")
	case p == nil:
		return no("settled")
	case p.GetEpoch() != c.GetEpoch():
		return no("epoch")
	case p.GetUnknown() && c.GetSettlement() == logpb.Settlement_SETTLEMENT_UNKNOWN:
		return nil
	case p.GetUnknown() != (c.GetSettlement() == logpb.Settlement_SETTLEMENT_CLEARED):
		return no("settlement")
	case c.GetSettlement() == logpb.Settlement_SETTLEMENT_UNKNOWN:
		p.Unknown = true
		return nil
	}
	delete(s.permits, t)
	return nil
}

// agent is a book with the rest of an agent's permit keeping: a disk, attempts, and what really runs.
type agent struct {
	*Book
	now     time.Duration
	boot    string
	process int
	disk    Record // journaled
	intents map[string]*Restored
	nonces  int
	asks    int
	open    []string // attempts of this process that wait or run
	really  map[string]bool
	acted   map[Token]string // where each token acted
	flaws   []string
}

func newAgent() *agent {
	a := &agent{now: time.Hour, boot: "boot-1", intents: map[string]*Restored{}, really: map[string]bool{},
		acted: map[Token]string{}}
	a.start()
	return a
}

// start begins a process on what the disk has.
func (a *agent) start() {
	a.process++
	a.open = nil
	var past []Restored
	for _, id := range sortedKeys(a.intents) {
		r := *a.intents[id]
		if r.Settlement == "" {
			a.open = append(a.open, id)
		}
		past = append(past, r)
	}
	a.Book = New(Options{Host: me, BootID: a.boot, Started: a.now}, a.disk, past)
}

func (a *agent) flaw(format string, args ...any) {
	a.flaws = append(a.flaws, fmt.Sprintf(format, args...))
}

// greet makes a hello; it is on disk before it goes out.
func (a *agent) greet() *logpb.Hello {
	a.nonces++
	a.disk = a.Hello(fmt.Sprintf("nonce-%d", a.nonces))
	return &logpb.Hello{Host: me, Nonce: a.disk.Nonce, LastEpoch: a.disk.Epoch, Generation: a.disk.Generation,
		Index: a.disk.Index, Running: a.Send(a.now)}
}

// welcomed enters the session.
func (a *agent) welcomed(w *logpb.Welcome) error {
	r, err := a.Accept(a.now, w)
	if err != nil {
		return err
	}
	if a.disk.Epoch >= r.Epoch {
		a.flaw("epoch %d after %d", r.Epoch, a.disk.Epoch)
	}
	for _, g := range a.disk.Left {
		if g == r.Generation {
			a.flaw("went back to generation %s", g)
		}
	}
	a.disk = r
	for _, t := range a.Enter(r, w) {
		a.clearedOnDisk(t)
	}
	return nil
}

func (a *agent) clearedOnDisk(t Token) {
	for _, r := range a.intents {
		if r.Token == t && r.Settlement == Unknown {
			r.Cleared = true
		}
	}
}

func (a *agent) ask(serving logpb.Serving) string {
	a.asks++
	id := fmt.Sprintf("attempt-%d", a.asks)
	if err := a.Ask(Ask{Attempt: id, Service: "web", Rule: "ill", Remedy: "restart",
		Targets: []Target{{Service: "web", Host: me}}, Claims: []Claim{{"web", serving}}}); err != nil {
		a.flaw("ask: %v", err)
	}
	a.open = append(a.open, id)
	return id
}

// next is the request to send while the host serves what it did when it was asked for.
func (a *agent) next() *logpb.Request {
	var claims []Claim
	if len(a.queue) > 0 {
		claims = a.queue[0].Claims
	}
	return a.Next(a.now, claims)
}

func (a *agent) facts(serving logpb.Serving) Facts {
	return Facts{Now: a.now, Claims: []Claim{{"web", serving}}}
}

// begins writes the intent of an attempt with a permit.
func (a *agent) begins(id string, f Facts) error {
	held, err := a.Begin(id, f)
	if err != nil {
		return err
	}
	a.intents[id] = &Restored{Attempt: id, Service: "web", Rule: "ill", Remedy: "restart", Held: held}
	return nil
}

// acts begins the action, and the witness looks at it.
func (a *agent) acts(id string, f Facts) error {
	if err := a.Act(id, f); err != nil {
		if in := a.intents[id]; in != nil && in.Settlement == "" && !a.really[id] {
			in.Settlement = Unused
		}
		return err
	}
	in := a.intents[id]
	if in == nil {
		a.flaw("%s acts without an intent", id)
		return nil
	}
	if where, twice := a.acted[in.Token]; twice {
		a.flaw("%s acts twice: %s, and now in process %d", in.Token, where, a.process)
	}
	a.acted[in.Token] = fmt.Sprintf("epoch %d of process %d", in.Epoch, a.process)
	a.really[id] = true
	return nil
}

// ends says how an attempt ended: first on disk, then to the controller.
func (a *agent) ends(id string, s Settlement) {
	if in := a.intents[id]; in != nil {
		in.Settlement = s
	}
	delete(a.really, id)
	a.Settle(id, s, "over")
}

func sortedKeys(m map[string]*Restored) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
