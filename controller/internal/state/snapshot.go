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
		Config: s.config, Counters: s.counters, Audit: s.kept(),
		Hosts: s.Hosts(), Permits: s.Permits(), Widths: s.Widths(""), Breakers: s.Breakers(),
		Alerts: sorted(s.alerts, compareKeys), Incidents: sorted(s.incidents, compare), Aliases: sorted(s.aliases, compare),
		Pauses: sorted(s.pauses, compareIDs), Silences: s.Silences(), Changes: s.Changes(),
		Deliveries: sorted(s.deliveries, compareDeliveries), Statistics: s.Statistics(),
		Tokens: s.Tokens(), Enrollments: s.Enrollments(), Revocations: s.Revocations(), Bundles: s.Bundles(),
	}
}

// Restore is the state of a snapshot, which it takes over.
func Restore(from *logpb.Snapshot) (*State, error) {
	if from.GetFormat() > Format {
		return nil, fmt.Errorf("%w: the snapshot needs format %d, this program knows %d: upgrade it",
			ErrStop, from.GetFormat(), Format)
	}
	s := New()
	s.format, s.generation, s.index, s.at = from.GetFormat(), from.GetGeneration(), from.GetIndex(), from.GetAt()
	s.standing, s.audit = from.GetStanding(), from.GetAudit()
	s.bound.all, s.shut = s.standing, s.index
	if from.GetConfig() != nil {
		s.config = from.GetConfig()
	}
	if from.GetCounters() != nil {
		s.counters = from.GetCounters()
	}
	s.refill(from)
	for _, a := range s.alerts {
		if i := s.incidents[a.GetIncident()]; i == nil || a.GetResolved() == 0 && ended(i) {
			return nil, fmt.Errorf("%w: alert %d of %s is in no open incident: the snapshot is damaged", ErrStop,
				a.GetKey().GetN(), a.GetKey().GetHost())
		}
	}
	s.rebuild()
	return s, nil
}

// refill enters every record of a snapshot under its key.
func (s *State) refill(from *logpb.Snapshot) {
	fill(s.hosts, from.GetHosts(), (*logpb.Host).GetId)
	fill(s.permits, from.GetPermits(), func(p *logpb.Permit) token { return tokenOf(p.GetToken()) })
	fill(s.widths, from.GetWidths(), func(w *logpb.Width) remedyKey { return widthKey(w) })
	fill(s.breakers, from.GetBreakers(), func(b *logpb.Breaker) ruleKey { return ruleKey{b.GetService(), b.GetRule()} })
	fill(s.alerts, from.GetAlerts(), func(a *logpb.Alert) alertKey { return keyOf(a.GetKey()) })
	fill(s.incidents, from.GetIncidents(), (*logpb.Incident).GetId)
	fill(s.aliases, from.GetAliases(), (*logpb.Alias).GetId)
	fill(s.pauses, from.GetPauses(), (*logpb.Pause).GetId)
	fill(s.silences, from.GetSilences(), (*logpb.Silence).GetId)
	fill(s.changes, from.GetChanges(), (*logpb.Change).GetId)
	fill(s.deliveries, from.GetDeliveries(), deliveryOf)
	fill(s.statistics, from.GetStatistics(), func(x *logpb.Statistic) statisticKey {
		return statisticKey{x.GetService(), x.GetRule(), x.GetRemedy()}
	})
	fill(s.tokens, from.GetTokens(), (*logpb.AccessToken).GetId)
	fill(s.enrollments, from.GetEnrollments(), (*logpb.Enrollment).GetHost)
	fill(s.revocations, from.GetRevocations(), (*logpb.Revocation).GetWhat)
	fill(s.bundles, from.GetBundles(), (*logpb.Bundle).GetName)
}

func fill[K comparable, V any](m map[K]V, list []V, key func(V) K) {
	for _, v := range list {
		m[key(v)] = v
	}
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

// Checkpoint hashes the state and keeps the hash: a Check in the log is compared with it.
func (s *State) Checkpoint() (index uint64, hash []byte) {
	s.derived.checked = check{index: s.index, hash: s.Hash()}
	return s.derived.checked.index, s.derived.checked.hash
}
