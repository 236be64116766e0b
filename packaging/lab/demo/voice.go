package main

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/proto/adminpb"
)

// voice follows what the controller adds to the timelines and prints it as it happens. What the hosts tell is left
// out: they tell it themselves. It comes back by itself when the controller does.
type voice struct {
	feed[*adminpb.WatchResponse] // of the story being told

	conn   *grpc.ClientConn
	out    io.Writer
	cancel context.CancelFunc
	ended  chan struct{}

	scope   sync.Mutex
	since   time.Time // the fault of the story being told
	telling bool
	last    int64           // log time of the last line that came
	known   map[string]bool // the lines of that time
}

// listenTo opens the controller's stream.
func listenTo(address string, out io.Writer) (*voice, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	v := &voice{conn: conn, out: out, cancel: cancel, ended: make(chan struct{})}
	go v.follow(ctx, adminpb.NewAdminClient(conn))
	return v, nil
}

// relisten is how soon a stream that broke is opened again.
const relisten = 50 * time.Millisecond

func (v *voice) follow(ctx context.Context, client adminpb.AdminClient) {
	defer close(v.ended)
	tick := time.NewTicker(relisten)
	defer tick.Stop()
	for ctx.Err() == nil {
		// The past comes again, so that nothing is missed that was said meanwhile.
		stream, err := client.Watch(ctx, &adminpb.WatchRequest{Replay: 100, Service: shop}, grpc.WaitForReady(true))
		for err == nil {
			var r *adminpb.WatchResponse
			if r, err = stream.Recv(); err == nil {
				v.hear(r)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// hear takes one line, once. Log times never go back, so an earlier one is known.
func (v *voice) hear(r *adminpb.WatchResponse) {
	v.scope.Lock()
	defer v.scope.Unlock()
	e := r.GetEvent()
	name := r.GetIncident() + e.GetHost() + e.GetText()
	if e.GetAt() < v.last || e.GetAt() == v.last && v.known[name] {
		return
	}
	if e.GetAt() > v.last {
		v.last, v.known = e.GetAt(), map[string]bool{}
	}
	v.known[name] = true
	if e.GetHostAt() != 0 || !v.telling {
		return
	}
	printLine(v.out, time.Since(v.since), label("controller"), e.GetType(), e.GetText())
	v.add(r)
}

// beginAt makes lines print and count from now on.
func (v *voice) beginAt(now time.Time) {
	v.scope.Lock()
	defer v.scope.Unlock()
	v.since, v.telling = now, true
	v.clear()
}

// finish ends the story.
func (v *voice) finish() {
	v.scope.Lock()
	defer v.scope.Unlock()
	v.telling = false
}

func (v *voice) close() error {
	v.cancel()
	<-v.ended
	return v.conn.Close()
}
