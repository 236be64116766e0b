// Package permit is the agent's side of the permit protocol. A permit lets one agent process run one attempt
// once, while its targets may stop serving. The controller counts it until it is settled, and no passing of
// time ends it there; what time does, it does here: it takes away the right to begin and to go on.
//
//	asked ─► granted ─► begun ─► acting ─► ended: serving | failed | unknown ─► cleared
//	  │         │         │
//	refused     └─────────┴─► ended: unused    (nobody waits, too late, another epoch, revoked, it serves again)
//
// It is pure: times, names and records come in as arguments, and what has to be sent or written down is what
// its methods return. It knows no clock, no disk and no network.
package permit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/proto/logpb"
)

// Times of the protocol, by the agent's CLOCK_BOOTTIME.
const (
	// StartBy and RunFor are what a grant has that names no times, counted from before the first sending of
	// its request.
	StartBy = 10 * time.Second
	RunFor  = 5 * time.Minute
	// LostAfter is how long without a round trip the two sides may think of each other as there.
	LostAfter = 10 * time.Second
	// AloneAfter is how long after the last round trip an attempt may begin without asking: by then the
	// controller has counted this host as lost for long, whoever leads it.
	AloneAfter = 3 * LostAfter
	// ClearAfter is how long after its start an agent is sure to see what still runs of earlier processes.
	ClearAfter = 5 * time.Second
	// resendEvery is how long the answer to a settlement may take before it is sent again.
	resendEvery = 5 * time.Second
)

// Token names a permit for ever.
type Token struct {
	Generation string `json:"generation"`
	N          uint64 `json:"n"`
}

// String is a token as people write it: the count, and the beginning of the generation.
func (t Token) String() string { return fmt.Sprintf("%d@%.8s", t.N, t.Generation) }

// Proto is the token on the wire.
func (t Token) Proto() *logpb.Token { return &logpb.Token{Generation: t.Generation, N: t.N} }

// TokenOf is the token of the wire.
func TokenOf(t *logpb.Token) Token { return Token{t.GetGeneration(), t.GetN()} }

// Target is what a permit takes away: a service on a host, or a named resource that other hosts use, too.
type Target struct {
	Service  string `json:"service,omitempty"`
	Host     string `json:"host,omitempty"`
	Resource string `json:"resource,omitempty"`
}

func (t Target) proto() *logpb.Target {
	return &logpb.Target{Service: t.Service, Host: t.Host, Resource: t.Resource}
}

// Settlement is how a permitted attempt ended.
type Settlement string

// Settlements.
const (
	Unused  Settlement = "unused"  // it never began
	Serving Settlement = "serving" // over, and seen to serve by samples from after the action
	Failed  Settlement = "failed"  // over, state known: down or sick
	Unknown Settlement = "unknown" // nobody can tell what became of it; it goes on counting
	Cleared Settlement = "cleared" // after unknown: nothing of it runs any more, and the host serves
)

func (s Settlement) proto() logpb.Settlement {
	switch s {
	case Unused:
		return logpb.Settlement_SETTLEMENT_UNUSED
	case Serving:
		return logpb.Settlement_SETTLEMENT_SERVING
	case Failed:
		return logpb.Settlement_SETTLEMENT_FAILED
	case Unknown:
		return logpb.Settlement_SETTLEMENT_UNKNOWN
	case Cleared:
		return logpb.Settlement_SETTLEMENT_CLEARED
	}
	return logpb.Settlement_SETTLEMENT_UNSPECIFIED
}

// Held is what an attempt's record has of its permit. It is on disk with the intent, before anything is done.
type Held struct {
	Token   Token         `json:"token"`
	Epoch   uint64        `json:"epoch"`
	Targets []Target      `json:"targets"`
	Digest  []byte        `json:"digest,omitempty"` // over the remedy, its arguments and its release
	Ends    time.Duration `json:"ends"`             // CLOCK_BOOTTIME at which it must be over
	BootID  string        `json:"boot_id"`          // the boot in which Ends counts
	Alone   bool          `json:"alone,omitempty"`  // begun without asking, by the right of the only host
}

// Over reports whether the permit's time is up. After a reboot it is.
func (h *Held) Over(now time.Duration, boot string) bool { return h.BootID != boot || now >= h.Ends }

// Record is what an agent must find again about its sessions. It is written before what it says is used.
type Record struct {
	// Nonce is that of the last hello. Until it is Answered, every further hello is that same one, so that an
	// answer that was lost is no fork.
	Nonce    string `json:"nonce,omitempty"`
	Answered bool   `json:"answered,omitempty"`
	// Epoch is the last one that was given, 0: none ever was.
	Epoch uint64 `json:"epoch,omitempty"`
	// Generation and Index are the newest that standing orders named.
	Generation string `json:"generation,omitempty"`
	Index      uint64 `json:"index,omitempty"`
	// Left are generations that this agent has left, oldest first. It never goes back to one.
	Left []string `json:"left,omitempty"`
}

// Bounds of records.
const (
	maxLeft    = 1000 // generations; a controller that goes through more has other troubles
	maxName    = 256
	maxTargets = 1024
)

// ErrRecord says that a record is not one that this package wrote.
var ErrRecord = errors.New("not a record of a session")

// ReadRecord decodes what was journaled. Errors: ErrRecord.
func ReadRecord(raw []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

func (r *Record) check() error {
	for _, name := range append([]string{r.Nonce, r.Generation}, r.Left...) {
		if len(name) > maxName {
			return fmt.Errorf("a name of %d bytes", len(name))
		}
	}
	switch {
	case len(r.Left) > maxLeft:
		return fmt.Errorf("%d generations were left", len(r.Left))
	case r.Answered && (r.Nonce == "" || r.Epoch == 0 || r.Generation == ""):
		return errors.New("a hello was answered without an epoch or a generation")
	case r.Epoch > 0 && r.Nonce == "":
		return errors.New("an epoch was given without a hello")
	case r.left(r.Generation):
		return fmt.Errorf("generation %s was left and holds", r.Generation)
	}
	return nil
}

// left reports whether the generation is one that this agent has left.
func (r *Record) left(generation string) bool {
	for _, g := range r.Left {
		if g == generation {
			return true
		}
	}
	return false
}

// Check says what is wrong with a held permit that was read from disk.
func (h *Held) Check() error {
	switch {
	case h.Token.Generation == "" || h.Token.N == 0 || len(h.Token.Generation) > maxName:
		return fmt.Errorf("%w: a permit without a token", ErrRecord)
	case len(h.Targets) == 0 || len(h.Targets) > maxTargets:
		return fmt.Errorf("%w: a permit with %d targets", ErrRecord, len(h.Targets))
	case h.Ends < 0:
		return fmt.Errorf("%w: a permit that ends before the machine came up", ErrRecord)
	}
	return nil
}
