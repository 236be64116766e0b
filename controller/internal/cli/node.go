package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
)

// How nodes of the controller are asked.
const (
	reachWithin = 3 * time.Second // one node
	// patience is how long an election is waited for.
	patience = 3 * time.Second
	again    = 200 * time.Millisecond
	// quiet is for how long a leader may be unheard and still lead: it speaks several times a second.
	quiet   = 2 * time.Second
	maxHops = 20
	// maxStory is the greatest answer: one incident with its whole timeline.
	maxStory = 64 << 20
)

// client is what asks the controller.
type client = adminpb.AdminClient

// call is one question to the controller. It may be asked again if certainly nothing came of it.
type call func(context.Context, client) error

// seeker goes from node to node until one answers.
type seeker struct {
	lines *transport.Transport
	dial  []grpc.DialOption
	reads bool // nothing is changed: an answer that was lost is no harm
	// unreached are the nodes that could not be reached and why, in order.
	unreached  []string
	leaderless error
}

// controller asks the nodes at --address, one after the other, follows the hints of those that do not lead,
// and waits a moment for an election. It has to end within limit (0: no limit).
func (a *app) controller(ctx context.Context, limit time.Duration, reads bool, f call) error {
	nodes, err := a.nodes()
	if err != nil {
		return err
	}
	lines, dial, err := a.line()
	if err != nil {
		return err
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	s := &seeker{lines: lines, dial: dial, reads: reads}
	return s.seek(ctx, nodes, f)
}

// nodes are the addresses of --address.
func (a *app) nodes() ([]string, error) {
	var out []string
	for _, n := range strings.Split(a.address, ",") {
		n = strings.TrimSpace(n)
		if host, port, err := net.SplitHostPort(n); err != nil || host == "" || port == "" {
			return nil, usagef("--address %q: it must be host:port, or several of them with commas between", a.address)
		}
		out = append(out, n)
	}
	return out, nil
}

func (s *seeker) seek(ctx context.Context, nodes []string, f call) error {
	started := time.Now()
	for {
		s.unreached, s.leaderless = nil, nil
		done, err := s.round(ctx, nodes, f)
		if done {
			return err
		}
		if s.leaderless == nil {
			return s.nobody()
		}
		if time.Since(started) > patience {
			return &coded{code: exitNoQuorum, err: errors.New(status.Convert(s.leaderless).Message())}
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return s.lost(ctx.Err())
		}
	}
}

// round asks each node once, and those that they name.
func (s *seeker) round(ctx context.Context, nodes []string, f call) (done bool, err error) {
	queue := slices.Clone(nodes)
	asked := map[string]bool{}
	for hops := 0; len(queue) > 0 && hops < maxHops; hops++ {
		node := queue[0]
		queue = queue[1:]
		if asked[node] {
			continue
		}
		asked[node] = true
		err := s.ask(ctx, node, f)
		why, meta := reason.Of(err)
		var away *unreachable
		switch {
		case err == nil:
			return true, nil
		case errors.As(err, &away):
			s.unreached = append(s.unreached, away.Error())
		case why == reason.NotLeader:
			s.leaderless = err
			if address := meta["address"]; address != "" {
				queue = append([]string{address}, queue...)
			}
		case why == reason.NoQuorum, why == reason.Busy:
			s.leaderless = err
		case s.reads && status.Code(err) == codes.Unavailable:
			s.unreached = append(s.unreached, node+": "+status.Convert(err).Message())
		default:
			return true, s.lost(err)
		}
	}
	return false, nil
}

// ask asks one node.
func (s *seeker) ask(ctx context.Context, node string, f call) error {
	near, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	probe, err := s.lines.Dial(near, node) // gRPC would say in its own words why it cannot
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &unreachable{err}
	}
	_ = probe.Close()
	conn, err := s.lines.Client(ctx, node,
		append([]grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxStory))}, s.dial...)...)
	if err != nil {
		return &unreachable{err}
	}
	defer conn.Close()
	return f(ctx, adminpb.NewAdminClient(conn))
}

// unreachable: nothing was asked.
type unreachable struct{ err error }

// Error implements error.
func (u *unreachable) Error() string { return u.err.Error() }

// nobody says that no node can be reached.
func (s *seeker) nobody() error {
	return &coded{code: exitUnreachable, err: fmt.Errorf("no node of the controller can be reached: %s; "+
		"say with --address, or $SALVE_ADDRESS, where they are", strings.Join(s.unreached, "; "))}
}

// lost makes of an error what the command ends with. After a change whose answer did not come nobody knows
// what became of it, and that is said.
func (s *seeker) lost(err error) error {
	why, _ := reason.Of(err)
	text := status.Convert(err).Message()
	switch code := status.Code(err); {
	case why == reason.Unknown:
		return &coded{code: exitUnknown, err: errors.New(text)}
	case code == codes.Unimplemented:
		return fmt.Errorf("the controller is of another version and does not know this: %s", text)
	case errors.Is(err, context.Canceled), code == codes.Canceled:
		return context.Canceled
	case code != codes.Unavailable && code != codes.DeadlineExceeded && !errors.Is(err, context.DeadlineExceeded):
		return err
	case s.reads:
		return &coded{code: exitUnreachable, err: errors.New("the controller did not answer in time")}
	}
	return errLost()
}

// answer is what the API answers.
type answer interface {
	proto.Message
	GetAt() *adminpb.At
}

// read asks a question that changes nothing and shows the answer.
func read[R answer](
	a *app, c *cobra.Command, out *output,
	ask func(context.Context, client) (R, error), table func(io.Writer, R),
) error {
	return a.controller(c.Context(), quick, true, func(ctx context.Context, admin client) error {
		r, err := ask(ctx, admin)
		if err != nil {
			return err
		}
		a.sayStale(r.GetAt())
		return out.show(c, r, func(w io.Writer) { table(w, r) })
	})
}

// change asks for a change and shows what came of it.
func change[R answer](
	a *app, c *cobra.Command, out *output, limit time.Duration,
	ask func(context.Context, client) (R, error), table func(io.Writer, R),
) error {
	return a.controller(c.Context(), limit, false, func(ctx context.Context, admin client) error {
		r, err := ask(ctx, admin)
		if err != nil {
			return err
		}
		return out.show(c, r, func(w io.Writer) { table(w, r) })
	})
}

// sayStale says how old an answer is that was asked for as it is.
func (a *app) sayStale(at *adminpb.At) {
	if !a.stale {
		return
	}
	age := time.Duration(at.GetStale())
	since := "which leads"
	switch {
	case age >= quiet:
		since = "which has heard no leader for " + story.Length(age)
	case age > 0:
		since = "which heard its leader " + story.Length(age) + " ago"
	}
	fmt.Fprintf(story.Printable(a.Err), "salve: as node %s has it, %s: index %d\n", at.GetNode(), since, at.GetIndex())
}
