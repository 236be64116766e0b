package state

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// Snapshot is the whole state, every list in the order of its keys. It shares nothing with the state, so
// that it can be written while the log goes on.
func (s *State) Snapshot() *logpb.Snapshot { return proto.CloneOf(s.tables()) }

// tables are the state as one message; its records are the state's own.
func (s *State) tables() *logpb.Snapshot {
	return &logpb.Snapshot{
		Format: s.format, Generation: s.generation, Index: s.index, At: s.at, Standing: s.standing,
		Config: s.config, Counters: s.counters,
		Hosts: s.Hosts(), Permits: s.Permits(), Widths: s.Widths(""), Breakers: s.Breakers(), Pauses: s.Pauses(),
		Audit: s.kept(),
	}
}

// Restore is the state of a snapshot, which it takes over.
func Restore(from *logpb.Snapshot) (*State, error) {
	if from.GetFormat() > Format {
		return nil, fmt.Errorf("%w: the snapshot needs format %d, this program knows %d: upgrade it",
			ErrStop, from.GetFormat(), Format)
	}
	s := New()
	s.format, s.generation, s.index, s.at, s.standing = from.GetFormat(), from.GetGeneration(), from.GetIndex(),
		from.GetAt(), from.GetStanding()
	if from.GetConfig() != nil {
		s.config = from.GetConfig()
	}
	if from.GetCounters() != nil {
		s.counters = from.GetCounters()
	}
	for _, h := range from.GetHosts() {
		s.hosts[h.GetId()] = h
	}
	for _, p := range from.GetPermits() {
		s.permits[tokenOf(p.GetToken())] = p
	}
	for _, w := range from.GetWidths() {
		s.widths[widthKey(w)] = w
	}
	for _, b := range from.GetBreakers() {
		s.breakers[ruleKey{b.GetService(), b.GetRule()}] = b
	}
	for _, p := range from.GetPauses() {
		s.pauses[p.GetId()] = p
	}
	s.audit = from.GetAudit()
	s.rebuild()
	return s, nil
}

// Hash is over every byte of the state. Two replicas at the same index have the same.
func (s *State) Hash() []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.tables())
	if err != nil {
		panic("a state that cannot be written: " + err.Error()) // a text that is no UTF-8
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// Due is the log time at which a tick would change something, 0 if none would.
func (s *State) Due() int64 { return 0 }

// Checkpoint hashes the state and keeps the hash: a Check in the log is compared with it.
func (s *State) Checkpoint() (index uint64, hash []byte) {
	s.derived.checked = check{index: s.index, hash: s.Hash()}
	return s.derived.checked.index, s.derived.checked.hash
}
