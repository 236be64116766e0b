package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// maxAudit is how many records the state keeps; the chain's hash remembers the rest.
const maxAudit = 5000

// note puts into the audit what somebody did, and from where.
func (s *State) note(by, what, format string, args ...any) { s.noteOn("", by, what, format, args...) }

// noteOn is note for what was done about an incident: its alerts and its timeline are the evidence.
func (s *State) noteOn(incident, by, what, format string, args ...any) {
	s.record(&logpb.AuditRecord{
		By: clip(by, maxName), What: what, Incident: clip(incident, maxName), Text: clip(fmt.Sprintf(format, args...), maxText),
		Address: clip(s.from.GetAddress(), maxName), Credential: clip(s.from.GetCredential(), maxName),
	})
}

// noteSelf puts into the audit what the controller did by itself, at whosever command it noticed that it has to.
func (s *State) noteSelf(what, format string, args ...any) {
	s.record(&logpb.AuditRecord{By: "controller", What: what, Text: clip(fmt.Sprintf(format, args...), maxText)})
}

// record adds a record to the chain.
func (s *State) record(r *logpb.AuditRecord) {
	s.counters.Audit++
	r.N, r.At, r.Index, r.Previous = s.counters.GetAudit(), s.at, s.index, s.counters.GetAuditHash()
	r.Hash = link(r)
	s.counters.AuditHash = r.GetHash()
	if len(s.audit) >= 2*maxAudit { // in one piece, so that each record is moved once
		s.audit = append(s.audit[:0:0], s.audit[len(s.audit)-maxAudit:]...)
	}
	s.audit = append(s.audit, r)
}

// link is the hash that a record must have: SHA-256 over the hash of the record before (32 bytes, none before the
// first), then number, time and index, each as 8 bytes, the greatest first, then the texts in this order, each with its
// length before it in the same 8 bytes, so that no two records read the same. docs/audit.md tells it to outsiders.
func link(r *logpb.AuditRecord) []byte {
	var room [512]byte // most records fit: no allocation
	b := append(room[:0], r.GetPrevious()...)
	for _, n := range []uint64{r.GetN(), uint64(r.GetAt()), r.GetIndex()} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, text := range []string{
		r.GetBy(), r.GetAddress(), r.GetCredential(), r.GetWhat(), r.GetIncident(), r.GetText(),
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
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

// Chain verifies audit records, one after the other. Its zero value takes any record for the first: what was before
// is for others to know, who have that record's previous hash.
type Chain struct {
	Records int    // that were taken
	First   uint64 // number of the first of them
	Last    uint64 // and of the last
	Head    []byte // the last one's hash: equal on every node, it stands for all records up to there
}

// Take says what is wrong with the next record, if anything is: then it is not taken.
func (c *Chain) Take(r *logpb.AuditRecord) error {
	n, before := r.GetN(), sha256.Size
	if n == 1 {
		before = 0
	}
	switch {
	case n == 0:
		return fmt.Errorf("a record after number %d has no number", c.Last)
	case c.Records > 0 && n != c.Last+1:
		return fmt.Errorf("record %d follows record %d: the ones between are missing, or the order is wrong", n, c.Last)
	case c.Records > 0 && !bytes.Equal(r.GetPrevious(), c.Head):
		return fmt.Errorf("record %d does not follow from record %d: one of them is not what was written", n, c.Last)
	case len(r.GetPrevious()) != before:
		return fmt.Errorf("record %d has %d bytes of the hash before it, and not %d", n, len(r.GetPrevious()), before)
	case !bytes.Equal(r.GetHash(), link(r)):
		return fmt.Errorf("record %d is not what was written: its hash is another", n)
	}
	if c.Records == 0 {
		c.First = n
	}
	c.Records, c.Last, c.Head = c.Records+1, n, r.GetHash()
	return nil
}
