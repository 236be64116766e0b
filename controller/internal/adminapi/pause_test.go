package adminapi_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Committed is not confirmed: the hosts where a step may still begin are named.
func TestPauseNamesTheHostsNotReached(t *testing.T) {
	r := newRig(t)
	pause := func(scope string) *adminpb.PauseResponse {
		t.Helper()
		return must[*adminpb.PauseResponse](t)(r.Pause(r.ctx, &adminpb.PauseRequest{
			Scope: scope, By: "ann", Reason: "move", UntilResumed: true, Wait: int64(time.Millisecond),
		}))
	}
	web := []string{"web-1", "web-2", "web-3"}
	for _, tt := range []struct {
		scope, want string
		hosts       []string
	}{
		{"all", "all", append([]string{"db-1"}, web...)},
		{"checkout", "service:checkout", web},
		{"service:check*", "service:check*", web},
		{"web-2", "host:" + r.Web2.ID, []string{"web-2"}},
		{"host:" + r.Web2.ID[:6], "host:" + r.Web2.ID, []string{"web-2"}},
		{"db.service", "unit:db.service", append([]string{"db-1"}, web...)}, // who runs it, only the hosts know
	} {
		got := pause(tt.scope)
		if got.GetPause().GetScope() != tt.want || !slices.Equal(got.GetNotReached(), tt.hosts) {
			t.Errorf("%s: it pauses %s and has not reached %v, want %s and %v", tt.scope, got.GetPause().GetScope(),
				got.GetNotReached(), tt.want, tt.hosts)
		}
	}
	if err := r.Web1.Confirm(); err != nil {
		t.Fatal(err)
	}
	list := must[*adminpb.ListPausesResponse](t)(r.ListPauses(r.ctx, &adminpb.ListPausesRequest{}))
	if got := list.GetPauses()[0].GetNotReached(); !slices.Equal(got, []string{"db-1", "web-2", "web-3"}) {
		t.Errorf("after web-1 has confirmed the pause of all has not reached %v", got)
	}
	if got := list.GetNames(); len(got) != 1 || got[0].GetName() != "web-2" {
		t.Errorf("the hosts that scopes name are %v, want web-2", got)
	}
}

// The answer comes as soon as the last host has confirmed, and not at the end of the wait.
func TestPauseAnswersWhenAllHaveConfirmed(t *testing.T) {
	r := newRig(t)
	answer := make(chan *adminpb.PauseResponse, 1)
	go func() {
		got, err := r.Pause(r.ctx, &adminpb.PauseRequest{
			Scope: "host:web-1", By: "ann", Reason: "move", For: 1e12, Wait: int64(30 * time.Second),
		})
		if err != nil {
			t.Error(err)
		}
		answer <- got
	}()
	for paused := false; !paused; {
		changed := r.Changed()
		r.View(func(s *state.State) { paused = len(s.Pauses()) > 0 })
		if !paused {
			<-changed
		}
	}
	if err := r.Web1.Confirm(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-answer:
		if len(got.GetNotReached()) > 0 {
			t.Errorf("all have confirmed, and %v have not", got.GetNotReached())
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits although all have confirmed")
	}
}

func TestResume(t *testing.T) {
	r := newRig(t)
	pause := func(scope string) string {
		t.Helper()
		return must[*adminpb.PauseResponse](t)(r.Pause(r.ctx, &adminpb.PauseRequest{
			Scope: scope, By: "ann", Reason: "move", For: 1e12, Wait: 1,
		})).GetPause().GetId()
	}
	resume := func(what string) ([]*logpb.Pause, error) {
		got, err := r.Resume(r.ctx, &adminpb.ResumeRequest{Pause: what, By: "ann"})
		return got.GetEnded(), err
	}
	one, two := pause("checkout"), pause("checkout")
	pause("web-1")
	if ended, err := resume(one); err != nil || len(ended) != 1 || ended[0].GetId() != one {
		t.Errorf("by its ID: %v, %v", ended, err)
	}
	if ended, err := resume("checkout"); err != nil || len(ended) != 1 || ended[0].GetId() != two {
		t.Errorf("by its scope: %v, %v", ended, err)
	}
	if ended, err := resume("host:web-1"); err != nil || len(ended) != 1 {
		t.Errorf("by its host: %v, %v", ended, err)
	}
	_, err := resume("checkout")
	wants(t, err, codes.NotFound, "", "is not paused")
	_, err = resume("service:checkout/slow")
	wants(t, err, codes.FailedPrecondition, "pause", "nothing that failed too often")
	_, err = resume("chekout/slow")
	wants(t, err, codes.NotFound, "", "service chekout not found")
	_, err = resume("checkout/")
	wants(t, err, codes.InvalidArgument, "", "names no rule")
	_, err = r.Pause(r.ctx, &adminpb.PauseRequest{Scope: "checkout/slow", By: "ann", Reason: "move", For: 1e12, Wait: 1})
	wants(t, err, codes.InvalidArgument, "", "a pause is of a whole service")
}

// What failed on two hosts in a row runs nowhere, until its service, its rule, or everything is resumed.
func TestResumeForgivesFailures(t *testing.T) {
	for _, scope := range []string{"checkout", "checkout/leak", "service:checkout/leak", "all"} {
		t.Run(scope, func(t *testing.T) { forgives(t, scope) })
	}
}

func forgives(t *testing.T, scope string) {
	r := newRig(t)
	if err := r.Web3.Settle(r.Open, logpb.Settlement_SETTLEMENT_FAILED); err != nil {
		t.Fatal(err)
	}
	const local = "eeee5555eeee5555eeee5555eeee5555"
	if err := r.Web1.Tell(r.Web1.Fired(local, "leak", "checkout", "checkout.service", "warning", "x")); err != nil {
		t.Fatal(err)
	}
	grant, err := r.Web1.Ask(local, "checkout", "leak", "restart-app")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Web1.Settle(grant, logpb.Settlement_SETTLEMENT_FAILED); err != nil {
		t.Fatal(err)
	}
	services := func() *adminpb.ServiceStatus {
		return must[*adminpb.ListServicesResponse](t)(r.ListServices(r.ctx, &adminpb.ListServicesRequest{})).GetServices()[0]
	}
	halted := slices.ContainsFunc(services().GetWidths(), func(w *logpb.Width) bool { return len(w.GetFailed()) == 2 })
	if !halted {
		t.Fatalf("nothing is halted: %v", services().GetWidths())
	}
	got, err := r.Resume(r.ctx, &adminpb.ResumeRequest{Pause: scope, By: "ann"})
	if err != nil || len(got.GetEnded()) != 0 {
		t.Errorf("resume: %v, %v", got, err)
	}
	if slices.ContainsFunc(services().GetWidths(), func(w *logpb.Width) bool { return len(w.GetFailed()) > 0 }) {
		t.Error("it is halted still")
	}
}
