package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/proto/localpb"
)

// How long the agent may take to answer: most it says from memory.
const (
	quick = 10 * time.Second
	slow  = 2 * time.Minute // the doctor and a reload look at the whole host
)

// maxAnswer is the greatest answer that is taken: one incident with all its evidence.
const maxAnswer = 32 << 20

// ask connects to the agent and calls f, which has to end within limit (0: no limit).
func (a *app) ask(ctx context.Context, limit time.Duration, f func(context.Context, localpb.AgentClient) error) error {
	if err := reach(a.socket); err != nil {
		return &coded{code: exitUnreachable, err: err}
	}
	conn, err := dial(a.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return f(ctx, localpb.NewAgentClient(conn))
}

// order is ask for what changes something: an answer that does not come says nothing about what was done.
func (a *app) order(ctx context.Context, limit time.Duration, f func(context.Context, localpb.AgentClient) error) error {
	err := a.ask(ctx, limit, f)
	if cutOff(err) {
		return errLost()
	}
	return err
}

// cutOff reports whether a call ended without the agent's word.
func cutOff(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return false
}

// dial makes a connection to the socket that comes back by itself when the agent restarts.
func dial(socket string) (*grpc.ClientConn, error) {
	path, err := filepath.Abs(socket)
	if err != nil {
		return nil, fmt.Errorf("find socket: %w", err)
	}
	return grpc.NewClient("passthrough:///agent",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a socket in the file system; its mode protects it
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)
}

// reach says in words that help why no agent can be reached; gRPC would say it in its own.
func reach(socket string) error {
	c, err := net.DialTimeout("unix", socket, quick)
	switch {
	case err == nil:
		return c.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("agent is not running: no socket at %s; start it with: systemctl start salve-agent", socket)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("agent is not running: nobody answers on %s; "+
			"see why with: systemctl status salve-agent", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not open %s: it belongs to group %s; join that group or use sudo",
			socket, groupOf(socket))
	}
	return fmt.Errorf("connect to agent: %w", err)
}

// groupOf names the group of a file.
func groupOf(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "(unknown)"
	}
	id := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
