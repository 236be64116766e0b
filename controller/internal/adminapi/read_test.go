package adminapi_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/proto/adminpb"
)

// A read asks the peers each time, and for a barrier once a term.
func TestReadsAreProvedLinearizable(t *testing.T) {
	r := newRig(t)
	ask := func() *adminpb.At {
		t.Helper()
		return must[*adminpb.ListHostsResponse](t)(r.ListHosts(r.ctx, &adminpb.ListHostsRequest{})).GetAt()
	}
	for range 3 {
		at := ask()
		if at.GetNode() != "c1" || at.GetIndex() != r.index() || at.GetStale() != 0 || len(at.GetGeneration()) != 32 {
			t.Errorf("the answer is of %v", at)
		}
	}
	if r.Barriers != 1 || r.Verified != 3 {
		t.Errorf("%d barriers and %d proofs, want 1 and 3", r.Barriers, r.Verified)
	}
	r.Lead() // in another term, whose leader has to catch up first
	ask()
	if r.Barriers != 2 || r.Verified != 4 {
		t.Errorf("%d barriers and %d proofs in a new term, want 2 and 4", r.Barriers, r.Verified)
	}
}

// A leader that is cut off does not know it. What it would answer may be old.
func TestDeposedLeaderDoesNotAnswer(t *testing.T) {
	r := newRig(t)
	r.CutOff()
	_, err := r.ListPermits(r.ctx, &adminpb.ListPermitsRequest{})
	wants(t, err, codes.Unavailable, reason.NoQuorum, "cannot prove that it leads")
	_, err = r.Pause(r.ctx, &adminpb.PauseRequest{Scope: "all", By: "ann", Reason: "x", UntilResumed: true})
	wants(t, err, codes.Unavailable, reason.NoQuorum, "cannot prove that it leads")
	if _, err = r.ListPermits(r.ctx, &adminpb.ListPermitsRequest{Stale: true}); err != nil {
		t.Errorf("a stale read: %v", err)
	}
}

func TestFollowers(t *testing.T) {
	r := newRig(t)
	r.Follow("c2", "127.0.0.2:7600", 0)
	calls := map[string]func() error{
		"read": func() error { _, err := r.Status(r.ctx, &adminpb.StatusRequest{}); return err },
		"write": func() error {
			_, err := r.Acknowledge(r.ctx, &adminpb.AcknowledgeRequest{Id: "last", By: "ann"})
			return err
		},
		"peers": func() error { _, err := r.ListPeers(r.ctx, &adminpb.ListPeersRequest{}); return err },
		"silence": func() error { // finds nothing before it proposes
			_, err := r.Silence(r.ctx, &adminpb.SilenceRequest{Match: label("service", "x"), By: "ann", Reason: "x", For: 1})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			err := call()
			wants(t, err, codes.FailedPrecondition, reason.NotLeader, "node c2 does, at 127.0.0.2:7600")
			if _, meta := reason.Of(err); meta["address"] != "127.0.0.2:7600" || meta["leader"] != "c2" {
				t.Errorf("the hint is %v", meta)
			}
		})
	}
	r.Follow("", "", 42*time.Second)
	for name, call := range calls {
		t.Run(name+" without a leader", func(t *testing.T) { wants(t, call(), codes.Unavailable, reason.NoQuorum, "leader") })
	}
	st := must[*adminpb.StatusResponse](t)(r.Status(r.ctx, &adminpb.StatusRequest{Stale: true}))
	if got := time.Duration(st.GetAt().GetStale()); got != 42*time.Second {
		t.Errorf("a stale answer says that it is %s old", got)
	}
	if len(st.GetWarnings()) == 0 {
		t.Error("a node without a leader has nothing to warn of")
	}
}

// After a lost answer nobody may believe that nothing was done.
func TestLostAnswerIsUnknown(t *testing.T) {
	r := newRig(t)
	before := r.index()
	r.LoseNext()
	_, err := r.Silence(r.ctx, &adminpb.SilenceRequest{Match: label("service", "db"), By: "ann", Reason: "x", For: 1e9})
	wants(t, err, codes.Unknown, reason.Unknown, "it may have been done")
	if r.index() == before {
		t.Error("the test lost a command and not an answer")
	}
}
