package adminapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/proto/adminpb"
)

func TestWatch(t *testing.T) {
	r := newRig(t)
	const local = "eeee5555eeee5555eeee5555eeee5555"
	open := func(req *adminpb.WatchRequest) (func() *adminpb.WatchResponse, context.CancelFunc) {
		ctx, cancel := context.WithCancel(r.ctx)
		stream, err := r.AdminClient.Watch(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return func() *adminpb.WatchResponse {
			t.Helper()
			return must[*adminpb.WatchResponse](t)(stream.Recv())
		}, cancel
	}
	next, cancel := open(&adminpb.WatchRequest{Replay: 2})
	defer cancel()
	only, cancelOnly := open(&adminpb.WatchRequest{Service: "db", Replay: 1})
	defer cancelOnly()
	if l := next(); l.GetService() != "checkout" || l.GetEvent().GetType() != "permit" {
		t.Errorf("the replay begins with %v", l)
	}
	next()
	if l := only(); l.GetService() != "db" || l.GetEvent().GetText() != "email.ops was told" {
		t.Errorf("the last line of db is %v", l)
	}
	if err := r.Web1.Tell(r.Web1.Fired(local, "leak", "checkout", "checkout.service", "warning", "x")); err != nil {
		t.Fatal(err)
	}
	if l := next(); l.GetEvent().GetHostName() != "web-1" || l.GetIncident() == "" {
		t.Errorf("the new line is %v", l)
	}
	lines := []string{}
	for _, text := range []string{"one", "two", "three"} {
		if err := r.Web1.Tell(r.Web1.Line(local, "diagnose", text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.DB1.Tell(r.DB1.Line("cccc3333cccc3333cccc3333cccc3333", "diagnose", "of db")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		lines = append(lines, next().GetEvent().GetText())
	}
	if got := strings.Join(lines, ", "); got != "one, two, three, of db" {
		t.Errorf("got %s", got)
	}
	if l := only(); l.GetEvent().GetText() != "of db" {
		t.Errorf("who watches db got %v", l)
	}
}

// Silence of a node that hears nobody would look like peace.
func TestWatchEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*rig)
		code codes.Code
		why  string
	}{
		"the node stops":        {func(r *rig) { r.API.Stop() }, codes.Unavailable, ""},
		"the node hears nobody": {func(r *rig) { r.Follow("", "", time.Minute) }, codes.Unavailable, reason.NoQuorum},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			stream, err := r.AdminClient.Watch(r.ctx, &adminpb.WatchRequest{Replay: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
			tt.do(r)
			_, err = stream.Recv()
			wants(t, err, tt.code, tt.why, "")
		})
	}
}

// One who does not take the lines holds up nobody, and is told that he missed some.
func TestWatchersAreBounded(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	var err error
	n := 0
	for ; n < 100 && err == nil; n++ {
		var stream interface {
			Recv() (*adminpb.WatchResponse, error)
		}
		if stream, err = r.AdminClient.Watch(ctx, &adminpb.WatchRequest{Replay: 1}); err == nil {
			_, err = stream.Recv()
		}
	}
	if n != 65 || status.Code(err) != codes.ResourceExhausted {
		t.Errorf("watcher %d got %v, want 64 and one that is refused", n, err)
	}
}
