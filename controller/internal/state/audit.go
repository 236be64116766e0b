package state

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// maxAudit is how many records the state keeps; the chain's hash remembers the rest.
const maxAudit = 5000

// note adds a record to the audit chain.
func (s *State) note(by, what, format string, args ...any) {
	s.counters.Audit++
	r := &logpb.AuditRecord{
		N: s.counters.GetAudit(), At: s.at, By: clip(by, maxName), What: what, Index: s.index,
		Text: clip(fmt.Sprintf(format, args...), maxText),
	}
	r.Hash = chain(s.counters.GetAuditHash(), r)
	s.counters.AuditHash = r.GetHash()
	if len(s.audit) >= 2*maxAudit { // in one piece, so that each record is moved once
		s.audit = append(s.audit[:0:0], s.audit[len(s.audit)-maxAudit:]...)
	}
	s.audit = append(s.audit, r)
}

// chain is the hash of a record after the one with the hash before.
func chain(before []byte, r *logpb.AuditRecord) []byte {
	var room [512]byte // most records fit: no allocation
	b := append(room[:0], before...)
	for _, n := range []uint64{r.GetN(), uint64(r.GetAt()), r.GetIndex()} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, text := range []string{r.GetBy(), r.GetWhat(), r.GetText()} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text))) // so that no two records read the same
		b = append(b, text...)
	}
	hash := sha256.Sum256(b)
	return hash[:]
}

// kept are the audit records that a snapshot holds.
func (s *State) kept() []*logpb.AuditRecord {
	return s.audit[max(0, len(s.audit)-maxAudit):]
}

// Audit gives the records after number n, oldest first, at most limit.
func (s *State) Audit(n uint64, limit int) []*logpb.AuditRecord {
	records := s.kept()
	for len(records) > 0 && records[0].GetN() <= n {
		records = records[1:]
	}
	return records[:min(limit, len(records))]
}

// VerifyAudit reports the first record whose hash does not follow from the one before, 0 if all do.
func VerifyAudit(records []*logpb.AuditRecord) uint64 {
	for i := 1; i < len(records); i++ {
		if string(chain(records[i-1].GetHash(), records[i])) != string(records[i].GetHash()) {
			return records[i].GetN()
		}
	}
	return 0
}
