package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/proto/logpb"
)

// chained says what is wrong with a chain of records.
func chained(records []*logpb.AuditRecord) error {
	var c Chain
	for _, r := range records {
		if err := c.Take(r); err != nil {
			return err
		}
	}
	return nil
}

// audits is a chain with something in every field of some record.
func audits(t *testing.T) []*logpb.AuditRecord {
	r := newRig(t)
	for i := range 4 {
		r.must(&logpb.Command{
			From: &logpb.Origin{Address: "192.0.2.7", Credential: "serial/5d2e41aa"},
			What: &logpb.Command_Note{Note: &logpb.Note{By: "kim", What: "peer", Text: fmt.Sprintf("add c%d", i)}},
		})
	}
	return r.s.Snapshot().GetAudit()
}

// Each field of each record is under its hash: a field that is added to the message and not to the hash is found here.
func TestEveryFieldIsSealed(t *testing.T) {
	t.Parallel()
	records := audits(t)
	if err := chained(records); err != nil {
		t.Fatal(err)
	}
	fields := records[0].ProtoReflect().Descriptor().Fields()
	for at := range records {
		for i := range fields.Len() {
			f := fields.Get(i)
			forged := forge(records, at, f)
			if err := chained(forged); err == nil {
				t.Errorf("record %d with another %s passes: %v", records[at].GetN(), f.Name(), forged[at])
			}
		}
	}
}

// forge is the chain with another value in one field of one record.
func forge(records []*logpb.AuditRecord, at int, f protoreflect.FieldDescriptor) []*logpb.AuditRecord {
	forged := slices.Clone(records)
	forged[at] = proto.CloneOf(forged[at])
	m := forged[at].ProtoReflect()
	old := m.Get(f)
	switch f.Kind() {
	case protoreflect.Uint64Kind:
		m.Set(f, protoreflect.ValueOfUint64(old.Uint()+1))
	case protoreflect.Int64Kind:
		m.Set(f, protoreflect.ValueOfInt64(old.Int()+1))
	case protoreflect.StringKind:
		m.Set(f, protoreflect.ValueOfString(old.String()+"x"))
	default:
		m.Set(f, protoreflect.ValueOfBytes(append(bytes.Clone(old.Bytes()), 0)))
	}
	return forged
}

func TestChain(t *testing.T) {
	t.Parallel()
	records := audits(t)
	n := len(records)
	last := proto.CloneOf(records[n-1])
	last.N = 0
	last.Hash = link(last)
	first := proto.CloneOf(records[0])
	first.Previous = records[1].GetHash()
	first.Hash = link(first)
	orphan := proto.CloneOf(records[1])
	orphan.Previous = nil
	orphan.Hash = link(orphan)
	gone := []*logpb.AuditRecord{records[0], proto.CloneOf(records[2])} // and what follows is chained anew
	gone[1].Previous = records[0].GetHash()
	gone[1].Hash = link(gone[1])
	changed, after := proto.CloneOf(records[1]), proto.CloneOf(records[2]) // one is changed, and the next one points to it
	changed.By = "ann"
	changed.Hash = link(changed)
	after.Previous = changed.GetHash()
	// Another history, well made, that says nothing of kim.
	forger := &State{counters: &logpb.Counters{}}
	for _, r := range records {
		forger.note("ann", r.GetWhat(), "%s", r.GetText())
	}
	for name, tc := range map[string]struct {
		records []*logpb.AuditRecord
		ok      bool
	}{
		"none":                       {nil, true},
		"whole":                      {records, true},
		"from the middle":            {records[2:], true}, // the oldest are no longer kept
		"its end cut off":            {records[:2], true}, // the head tells
		"one is missing":             {slices.Concat(records[:2], records[3:]), false},
		"swapped":                    {slices.Concat(records[:2], []*logpb.AuditRecord{records[3], records[2]}), false},
		"twice":                      {slices.Concat(records[:2], records[1:]), false},
		"something before the first": {[]*logpb.AuditRecord{first}, false},
		"nothing before the second":  {[]*logpb.AuditRecord{orphan}, false},
		"one is missing, and the hashes are made anew": {gone, false},
		"one is changed, the next one points to it":    {[]*logpb.AuditRecord{records[0], changed, after}, false},
		"without a number":                             {[]*logpb.AuditRecord{last}, false},
		"begins of one, goes on of another":            {slices.Concat(records[:2], forger.audit[2:]), false},
	} {
		if err := chained(tc.records); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	head := func(records []*logpb.AuditRecord) string {
		c := Chain{}
		for _, r := range records {
			if err := c.Take(r); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprintf("%d:%x", c.Last, c.Head)
	}
	if whole := head(records); whole == head(forger.audit) || whole == head(records[:n-1]) || whole != head(records[1:]) {
		t.Error("the head does not tell one history from another")
	}
}

// Who asked is in the record with where he came from; what the controller does at his command is its own.
func TestOriginIsRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	last := r.s.counters.GetAudit()
	from := &logpb.Origin{Address: "192.0.2.7", Credential: "token/0011223344556677"}
	stop := command(&logpb.PauseCommand{Scope: "all", By: "kim", Reason: "work", For: 10e9})
	stop.From = from
	r.must(stop)
	r.at += 11e9
	tick := command(&logpb.Tick{})
	tick.From = from
	r.must(tick)
	records := r.s.Audit(last, maxAudit)
	if len(records) != 2 {
		t.Fatalf("%v", records)
	}
	if a := records[0]; a.GetBy() != "kim" || a.GetAddress() != "192.0.2.7" || a.GetCredential() != from.GetCredential() {
		t.Errorf("the pause: %v", a)
	}
	if a := records[1]; a.GetBy() != "controller" || a.GetAddress() != "" || a.GetCredential() != "" {
		t.Errorf("its end: %v", a)
	}
	if r.s.from != nil {
		t.Error("the origin stays for the next")
	}
}
