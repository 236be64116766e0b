package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// tcpAsker asks whether a connection can be made.
type tcpAsker struct {
	network, address string
	timeout          time.Duration
	ctx              context.Context // ends with close
	cancel           context.CancelFunc
}

func newTCP(t Target) *tcpAsker {
	a := &tcpAsker{network: "tcp", address: t.TCP, timeout: t.Timeout}
	if path, ok := strings.CutPrefix(t.TCP, "unix:"); ok {
		a.network, a.address = "unix", path
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

func (a *tcpAsker) ask(bool) answer {
	start := time.Now()
	d := net.Dialer{Deadline: start.Add(a.timeout), KeepAlive: -1}
	c, err := d.DialContext(a.ctx, a.network, a.address)
	if err != nil {
		return answer{err: fmt.Errorf("connect: %w", err)}
	}
	latency := time.Since(start)
	_ = c.Close()
	return answer{answered: true, latency: latency}
}

func (a *tcpAsker) close() { a.cancel() }

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
	got := answer{answered: true, latency: time.Since(start), status: code, hasStatus: true}
	if code != 0 {
		got.err = fmt.Errorf("exit code %d", code)
	}
	return got
}

func (a *execAsker) close() { a.cancel() }
