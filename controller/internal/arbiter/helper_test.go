package arbiter

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an arbiter that runs, on a journal.
type rig struct {
	*Arbiter
	seat  *arbitertest.Seat
	watch *arbitertest.Watch
	t     *testing.T
	stop  func()
}

// start runs the arbiter of a node until the test ends.
func start(t *testing.T, j *arbitertest.Journal, id string, skew time.Duration, change func(*Options)) *rig {
	t.Helper()
	r := &rig{seat: arbitertest.NewSeat(j, id), watch: arbitertest.NewWatch(skew), t: t}
	o := Options{
		Node: r.seat, Replica: j, Clock: r.watch, ID: id, Data: t.TempDir(),
		Address: func(id string) string { return id + ":7600" },
	}
	if change != nil {
		change(&o)
	}
	var err error
	if r.Arbiter, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	return r
}

// must proposes a command that has to be answered without a refusal.
func (r *rig) must(c *logpb.Command) *logpb.Result {
	r.t.Helper()
	res, _, err := r.Propose(context.Background(), c)
	if err != nil {
		r.t.Fatalf("propose %v: %v", c, err)
	}
	if res.GetRefusal() != nil {
		r.t.Fatalf("%v was refused: %v", c, res.GetRefusal())
	}
	return res
}

func hello(host string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Hello{Hello: &logpb.Hello{
		Host: host, Name: host, Fingerprint: "f-" + host, BootId: "b", Nonce: "n-" + host, Stream: "s-" + host,
		Services: []*logpb.ServiceReport{{Service: "checkout", Serving: logpb.Serving_SERVING_YES}},
	}}}
}

func pause(scope, reason string, length time.Duration) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{
		Scope: scope, By: "kim", Reason: reason, For: int64(length),
	}}}
}
