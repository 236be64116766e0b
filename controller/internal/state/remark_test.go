package state

import (
	"strings"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

func TestRemark(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	before, last := r.s.Snapshot(), len(r.s.Audit(0, maxAudit))
	r.must(command(&logpb.Note{By: "kim", What: "peer", Text: "add c4 at 192.0.2.4:7601, 100% sure"}))
	records := r.s.Audit(0, maxAudit)
	if got := records[last]; len(records) != last+1 || got.GetBy() != "kim" || got.GetWhat() != "peer" ||
		got.GetText() != "add c4 at 192.0.2.4:7601, 100% sure" || chained(records) != nil {
		t.Errorf("the audit has %v", records[last:])
	}
	if after := r.s.Snapshot(); after.GetStanding() != before.GetStanding() {
		t.Error("a note binds hosts")
	}
	r.must(command(&logpb.Note{By: "kim", What: strings.Repeat("x", 1000), Text: strings.Repeat("y", 5000)}))
	if got := r.s.Audit(0, maxAudit)[last+1]; len(got.GetWhat()) > maxWhat || len(got.GetText()) > maxText {
		t.Errorf("%d bytes and %d bytes", len(got.GetWhat()), len(got.GetText()))
	}
	r.code("who", r.apply(command(&logpb.Note{What: "peer", Text: "x"})))
	r.code("note", r.apply(command(&logpb.Note{By: "kim", What: "peer"})))
	r.code("note", r.apply(command(&logpb.Note{By: "kim", Text: "x"})))
}
