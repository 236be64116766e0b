package adminapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
)

// audited is the whole audit, without numbers and times.
func (r *rig) audited() (out []string) {
	r.View(func(s *state.State) {
		for _, a := range s.Audit(0, 1000) {
			out = append(out, a.GetBy()+" "+a.GetWhat()+": "+a.GetText())
		}
	})
	return out
}

// What people do with the nodes is in the audit, also what failed.
func TestNodesAreAudited(t *testing.T) {
	r := newRig(t)
	before := len(r.audited())
	add := func(id, address string) error {
		_, err := r.AddPeer(r.ctx, &adminpb.AddPeerRequest{Id: id, Address: address, By: "ann"})
		return err
	}
	if err := add("c4", "127.0.0.4:7601"); err != nil {
		t.Fatal(err)
	}
	if add("c2", "127.0.0.9:7601") == nil {
		t.Error("c2 was added twice")
	}
	must[*adminpb.RemovePeerResponse](t)(r.RemovePeer(r.ctx, &adminpb.RemovePeerRequest{Id: "c4", By: "ben"}))
	r.snapshot()
	if _, err := r.TransferLeadership(r.ctx, &adminpb.TransferLeadershipRequest{By: "ben"}); err != nil {
		t.Fatal(err)
	}
	stream, err := r.AdminClient.Snapshot(r.ctx, &adminpb.SnapshotRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	wants(t, err, codes.InvalidArgument, "", "who asks")

	all := r.audited()[before:]
	want := []string{
		"ann peer: add node c4 at 127.0.0.4:7601",
		"ann peer: add node c2 at 127.0.0.9:7601",
		"ann peer: add node c2 at 127.0.0.9:7601: it failed: ",
		"ben peer: remove node c4",
		"ann backup: takes a backup of the whole state",
		"ben transfer: hand the leadership over to the most up to date",
	}
	for n, text := range want {
		if n >= len(all) || !strings.HasPrefix(all[n], text) {
			t.Fatalf("the audit has %q, want %q", all, want)
		}
	}
}

func TestPeers(t *testing.T) {
	r := newRig(t)
	remove := func(id string) error {
		_, err := r.RemovePeer(r.ctx, &adminpb.RemovePeerRequest{Id: id, By: "ann"})
		return err
	}
	peers := func() (ids []string) {
		for _, p := range must[*adminpb.ListPeersResponse](t)(r.ListPeers(r.ctx, &adminpb.ListPeersRequest{})).GetPeers() {
			ids = append(ids, p.GetId())
		}
		return ids
	}
	for _, address := range []string{"", "nowhere", ":7601", "host:"} {
		_, err := r.AddPeer(r.ctx, &adminpb.AddPeerRequest{Id: "c4", Address: address, By: "ann"})
		wants(t, err, codes.InvalidArgument, "", "address")
	}
	_, err := r.AddPeer(r.ctx, &adminpb.AddPeerRequest{Id: "c2", Address: "127.0.0.9:7601", By: "ann"})
	wants(t, err, codes.FailedPrecondition, "", "is a member with other data")
	must[*adminpb.AddPeerResponse](t)(r.AddPeer(r.ctx, &adminpb.AddPeerRequest{Id: "c4", Address: "127.0.0.4:7601", By: "ann"}))
	if got := peers(); !slices.Equal(got, []string{"c1", "c2", "c3", "c4"}) {
		t.Errorf("peers are %v", got)
	}
	wants(t, remove("c9"), codes.NotFound, "", "node c9 not found")
	r.Unheard("c3", time.Minute)
	// c4 was never heard: c1 and c2 are half of four. Without c4 they are most of three.
	wants(t, remove("c2"), codes.FailedPrecondition, "", "3 voters, and only 1 of them answer")
	for _, id := range []string{"c4", "c3"} { // the dead ones go, one by one
		if err := remove(id); err != nil {
			t.Errorf("remove %s: %v", id, err)
		}
	}
	if err := remove("c2"); err != nil {
		t.Errorf("remove the other of two: %v", err)
	}
	wants(t, remove("c1"), codes.FailedPrecondition, "", "only voter")
}

func TestTransfer(t *testing.T) {
	r := newRig(t)
	transfer := func(to string) (string, error) {
		got, err := r.TransferLeadership(r.ctx, &adminpb.TransferLeadershipRequest{To: to, By: "ann"})
		return got.GetLeader(), err
	}
	_, err := transfer("c9")
	wants(t, err, codes.NotFound, "", "node c9 not found")
	if got, err := transfer("c1"); err != nil || got != "c1" { // twice is not an error
		t.Errorf("to itself: %q, %v", got, err)
	}
	if got, err := transfer("c3"); err != nil || got != "c3" {
		t.Errorf("to c3: %q, %v", got, err)
	}
}

// snapshot is the backup as a client gets it.
func (r *rig) snapshot() []byte {
	r.t.Helper()
	stream, err := r.AdminClient.Snapshot(r.ctx, &adminpb.SnapshotRequest{By: "ann"})
	var all bytes.Buffer
	for err == nil {
		var piece *adminpb.SnapshotResponse
		if piece, err = stream.Recv(); err == nil {
			all.Write(piece.GetChunk())
		}
	}
	if !errors.Is(err, io.EOF) {
		r.t.Fatal(err)
	}
	return all.Bytes()
}

// restore sends a backup in pieces.
func (r *rig) restore(backup []byte, first *adminpb.RestoreRequest) (*adminpb.RestoreResponse, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	stream, err := r.AdminClient.Restore(ctx)
	if err != nil {
		return nil, err
	}
	if stream.Send(first) == nil {
		for piece := range slices.Chunk(backup, 1000) {
			if stream.Send(&adminpb.RestoreRequest{Chunk: piece}) != nil {
				break // it has answered
			}
		}
	}
	return stream.CloseAndRecv()
}

func TestBackupAndRestore(t *testing.T) {
	r := newRig(t)
	backup := r.snapshot()
	must[*adminpb.SettlePermitResponse](t)(r.SettlePermit(r.ctx, &adminpb.SettlePermitRequest{
		Token: r.Open.GetToken(), By: "ann", Reason: "x", Force: true,
	}))
	before := r.index()
	_, err := r.restore(backup, &adminpb.RestoreRequest{By: "ann"})
	wants(t, err, codes.InvalidArgument, "", "has to be confirmed")
	_, err = r.restore(backup, &adminpb.RestoreRequest{Confirmed: true})
	wants(t, err, codes.InvalidArgument, "", "who asks")
	_, err = r.restore([]byte("no backup"), &adminpb.RestoreRequest{By: "ann", Confirmed: true})
	wants(t, err, codes.FailedPrecondition, "", "this is no backup")
	if r.index() != before {
		t.Error("a restore that was refused came into the log")
	}
	got := must[*adminpb.RestoreResponse](t)(r.restore(backup, &adminpb.RestoreRequest{By: "ann", Confirmed: true}))
	if got.GetGeneration() == "11111111111111111111111111111111" || got.GetGeneration() != got.GetAt().GetGeneration() {
		t.Errorf("after the restore it is generation %s", got.GetGeneration())
	}
	if all := r.audited(); all[len(all)-1] != "ann restore: replaced the whole state by a backup" {
		t.Errorf("the audit has %q", all)
	}
	st := must[*adminpb.StatusResponse](t)(r.Status(r.ctx, &adminpb.StatusRequest{}))
	if st.GetPermits() != 1 || st.GetAwaited() != 4 || len(st.GetPauses()) != 1 {
		t.Errorf("after the restore: %d permits, %d hosts awaited, pauses %v", st.GetPermits(), st.GetAwaited(), st.GetPauses())
	}
	_, err = r.Resume(r.ctx, &adminpb.ResumeRequest{Pause: "all", By: "ann"})
	wants(t, err, codes.FailedPrecondition, "awaited", "have not said hello")
}
