// Package state is what the controller remembers, as plain data, and the rules by which the log changes it.
// It knows no clock, no random source, no network and no file: the same log gives the same state, byte for
// byte. One file a noun; the rules of permits are in permit.go.
package state

import (
	"errors"
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// Format is the newest level of the log that this program knows. Every change of what Apply *does* gets a
// level of its own and asks s.format; SetFormat raises the level once every peer knows it. Level 1 is what the
// first release does: until that is out there are no older programs, and changes of what Apply does are part of it.
const Format = 1

// firstFormat is where every log begins, whatever program reads it.
const firstFormat = 1

// ErrStop means that this replica must not go on: it does not understand the log, or differs from the others.
var ErrStop = errors.New("this replica must stop")

// State is everything that the log says. It is not safe for concurrent use.
type State struct {
	format     uint32
	generation string
	index      uint64 // of the last entry applied
	at         int64  // log time of that entry, nanoseconds
	standing   uint64 // index of the entry that last changed what binds hosts
	counters   *logpb.Counters
	config     *logpb.Config

	hosts       map[string]*logpb.Host
	permits     map[token]*logpb.Permit // not settled
	widths      map[remedyKey]*logpb.Width
	breakers    map[ruleKey]*logpb.Breaker
	alerts      map[alertKey]*logpb.Alert
	incidents   map[string]*logpb.Incident
	aliases     map[string]*logpb.Alias
	pauses      map[string]*logpb.Pause
	silences    map[string]*logpb.Silence
	changes     map[string]*logpb.Change
	deliveries  map[deliveryKey]*logpb.Delivery
	statistics  map[statisticKey]*logpb.Statistic
	tokens      map[string]*logpb.AccessToken
	enrollments map[string]*logpb.Enrollment // by host
	revocations map[string]*logpb.Revocation // by what is revoked
	bundles     map[string]*logpb.Bundle
	audit       []*logpb.AuditRecord // the newest, oldest first

	derived derived // computed from the above; never in a snapshot
	bound   bound   // what has to be pushed; never in a snapshot
	shut    uint64  // index of the entry that last shut somebody out; never in a snapshot

	from *logpb.Origin // of the command that is being judged; nil: the controller itself
}

// Keys of the tables.
type (
	token struct {
		generation string
		n          uint64
	}
	ruleKey   struct{ service, rule string }
	remedyKey struct{ service, rule, digest string }
	alertKey  struct {
		host, stream string
		n            uint64
	}
	deliveryKey  struct{ key, notifier string }
	statisticKey struct{ service, rule, remedy string }
)

// New is the state before the first entry.
func New() *State {
	s := &State{
		format: firstFormat, counters: &logpb.Counters{}, config: &logpb.Config{},
		hosts: map[string]*logpb.Host{}, permits: map[token]*logpb.Permit{},
		widths: map[remedyKey]*logpb.Width{}, breakers: map[ruleKey]*logpb.Breaker{},
		alerts: map[alertKey]*logpb.Alert{}, incidents: map[string]*logpb.Incident{},
		aliases: map[string]*logpb.Alias{}, pauses: map[string]*logpb.Pause{},
		silences: map[string]*logpb.Silence{}, changes: map[string]*logpb.Change{},
		deliveries: map[deliveryKey]*logpb.Delivery{}, statistics: map[statisticKey]*logpb.Statistic{},
		tokens: map[string]*logpb.AccessToken{}, enrollments: map[string]*logpb.Enrollment{},
		revocations: map[string]*logpb.Revocation{}, bundles: map[string]*logpb.Bundle{},
	}
	s.derived, s.bound.host = newDerived(), map[string]uint64{}
	return s
}

// Apply judges an entry's commands one by one, each on the state that the one before left. A refusal is a
// result. An error wraps ErrStop and leaves the state unfit for use.
func (s *State) Apply(index uint64, e *logpb.Entry) ([]*logpb.Result, error) {
	if e.GetFormat() > Format {
		return nil, fmt.Errorf("%w: entry %d needs format %d, this program knows %d: upgrade it",
			ErrStop, index, e.GetFormat(), Format)
	}
	s.index, s.at = index, max(s.at, e.GetAt())
	results := make([]*logpb.Result, len(e.GetCommands()))
	for i, c := range e.GetCommands() {
		s.from = c.GetFrom()
		r, err := s.apply(c)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d, command %d: %w", ErrStop, index, i, err)
		}
		results[i] = r
	}
	s.from = nil
	return results, nil
}

// apply judges one command.
func (s *State) apply(c *logpb.Command) (*logpb.Result, error) {
	switch c := c.GetWhat().(type) {
	case *logpb.Command_NewGeneration:
		return s.newGeneration(c.NewGeneration), nil
	case *logpb.Command_SetFormat:
		return s.setFormat(c.SetFormat), nil
	case *logpb.Command_Configure:
		return s.configure(c.Configure), nil
	case *logpb.Command_Hello:
		return s.hello(c.Hello), nil
	case *logpb.Command_Edges:
		return s.edges(c.Edges), nil
	case *logpb.Command_Request:
		return s.request(c.Request), nil
	case *logpb.Command_Settle:
		return s.settle(c.Settle), nil
	case *logpb.Command_Revoke:
		return s.revoke(c.Revoke), nil
	case *logpb.Command_ForceSettle:
		return s.forceSettle(c.ForceSettle), nil
	case *logpb.Command_AdoptHost:
		return s.adoptHost(c.AdoptHost), nil
	case *logpb.Command_RemoveHost:
		return s.removeHost(c.RemoveHost), nil
	case *logpb.Command_ConfirmStanding:
		return s.confirmStanding(c.ConfirmStanding), nil
	case *logpb.Command_CloseBreaker:
		return s.closeBreaker(c.CloseBreaker), nil
	case *logpb.Command_Events:
		return s.events(c.Events), nil
	case *logpb.Command_Acknowledge:
		return s.acknowledge(c.Acknowledge), nil
	case *logpb.Command_Release:
		return s.release(c.Release), nil
	case *logpb.Command_ResolveIncident:
		return s.resolveIncident(c.ResolveIncident), nil
	case *logpb.Command_Pause:
		return s.pause(c.Pause), nil
	case *logpb.Command_Resume:
		return s.resume(c.Resume), nil
	case *logpb.Command_Silence:
		return s.silence(c.Silence), nil
	case *logpb.Command_EndSilence:
		return s.endSilence(c.EndSilence), nil
	case *logpb.Command_RecordChange:
		return s.recordChange(c.RecordChange), nil
	case *logpb.Command_Delivered:
		return s.delivered(c.Delivered), nil
	case *logpb.Command_QuorumPage:
		return s.quorumPage(c.QuorumPage), nil
	case *logpb.Command_Note:
		return s.remark(c.Note), nil
	case *logpb.Command_MakeToken:
		return s.makeToken(c.MakeToken), nil
	case *logpb.Command_EndToken:
		return s.endToken(c.EndToken), nil
	case *logpb.Command_Enroll:
		return s.enroll(c.Enroll), nil
	case *logpb.Command_Renew:
		return s.recertify(c.Renew), nil
	case *logpb.Command_RevokeIdentity:
		return s.revokeIdentity(c.RevokeIdentity), nil
	case *logpb.Command_PushBundle:
		return s.pushBundle(c.PushBundle), nil
	case *logpb.Command_RollbackBundle:
		return s.rollbackBundle(c.RollbackBundle), nil
	case *logpb.Command_ReportBundles:
		return s.reportBundles(c.ReportBundles), nil
	case *logpb.Command_Tick:
		return s.tick(), nil
	case *logpb.Command_Check:
		return s.check(c.Check)
	}
	return nil, fmt.Errorf("a command that this program does not know: upgrade it")
}

// done is the result of what needs no answer.
func done() *logpb.Result { return &logpb.Result{} }

// refuse is the result of what changes nothing. The text must be true at this point of the log.
func refuse(code, format string, args ...any) *logpb.Result {
	return &logpb.Result{Refusal: &logpb.Refusal{Code: code, Text: fmt.Sprintf(format, args...)}}
}

// bind says that what binds hosts has changed with this entry: their standing orders are pushed anew.
func (s *State) bind() { s.standing, s.bound.all = s.index, s.index }

// nextID is a name that is never given twice in a generation.
func (s *State) nextID(kind string) string {
	s.counters.Id++
	return fmt.Sprintf("%s-%d", kind, s.counters.GetId())
}

// Generation, Index, At, Standing and FormatLevel say where in the log this state is.
func (s *State) Generation() string { return s.generation }

// Index is that of the last entry applied.
func (s *State) Index() uint64 { return s.index }

// At is the log time of the last entry, nanoseconds since 1970.
func (s *State) At() int64 { return s.at }

// Standing is the version of the standing orders.
func (s *State) Standing() uint64 { return s.standing }

// FormatLevel is the replicated format level.
func (s *State) FormatLevel() uint32 { return s.format }

// Config is what the controller decides by; not to be changed.
func (s *State) Config() *logpb.Config { return s.config }
