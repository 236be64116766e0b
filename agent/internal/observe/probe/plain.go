package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// tcpProtocol asks whether a connection can be made.
type tcpProtocol struct{ endpoint }

func (p tcpProtocol) dial(ctx context.Context, deadline time.Time) (net.Conn, error) {
	return p.connect(ctx, deadline)
}

func (tcpProtocol) sound(net.Conn) bool { return false }

func (tcpProtocol) exchange(context.Context, net.Conn, time.Time) (answer, fate) {
	return answer{answered: true}, drop
}

// execAsker asks a program. Whoever may run programs runs it.
type execAsker struct {
	argv    []string
	timeout time.Duration
	run     ExecFunc
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
}

func newExec(t Target, run ExecFunc) *execAsker {
	a := &execAsker{argv: t.Exec, timeout: t.Timeout, run: run}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

var errNoExec = errors.New("this agent does not run programs")

func (a *execAsker) ask(bool) answer {
	if a.run == nil || len(a.argv) == 0 {
		return answer{err: errNoExec}
	}
	ctx, cancel := context.WithTimeout(a.ctx, a.timeout)
	defer cancel()
	start := time.Now()
	code, err := a.run(ctx, a.argv)
	if err != nil {
		return answer{err: fmt.Errorf("run program: %w", err)}
	}
	got := answer{answered: true, latency: time.Since(start), figure: float64(code)}
	if code != 0 {
		got.err = fmt.Errorf("exit code %d", code)
	}
	return got
}

func (a *execAsker) close() { a.cancel() }
