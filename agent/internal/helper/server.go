// Package helper does for the agent what takes root: it changes units where polkit has no rules, and sets limits that
// end by themselves. It listens where systemd put its socket, believes nobody but the agent's user and root, and does
// nothing that is not in a list that only root can have written. DESIGN.md says why it is as it is.
package helper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/order"
)

// Limits of a server.
const (
	atOnce   = 4                // requests that are looked at; more wait in the kernel
	patience = 2 * time.Second  // for a request to come, and for its answer to be taken
	workTime = 10 * time.Second // for systemd
	idleTime = time.Minute      // without requests it ends; systemd starts it again for the next one
)

// Options of a server. All but Listener are needed.
type Options struct {
	List  string   // the file that says what may be done
	Users []uint32 // who may ask
	Bus   string   // systemd's private socket: "unix:path=…/systemd/private"
	Log   hclog.Logger
	// Listener is where requests come in; nil: what systemd handed over.
	Listener *net.UnixListener

	patience, idle time.Duration // tests; 0: as above
}

// Server answers requests, one for each connection.
type Server struct {
	o       Options
	manager manager
}

// New makes a server.
func New(o Options) (*Server, error) {
	for name, missing := range map[string]bool{"List": o.List == "", "Users": len(o.Users) == 0, "Log": o.Log == nil} {
		if missing {
			return nil, fmt.Errorf("helper: option %s is missing", name)
		}
	}
	m, err := newManager(o.Bus)
	if err != nil {
		return nil, err
	}
	if o.Listener == nil {
		if o.Listener, err = listener(); err != nil {
			return nil, err
		}
	}
	if o.patience == 0 {
		o.patience = patience
	}
	if o.idle == 0 {
		o.idle = idleTime
	}
	return &Server{o, m}, nil
}

// Run answers until ctx ends or nobody has asked for a while.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.o.Listener.Close() })
	defer stop()
	var busy sync.WaitGroup
	defer busy.Wait()
	slots := make(chan struct{}, atOnce)
	for {
		slots <- struct{}{}
		if err := s.o.Listener.SetDeadline(time.Now().Add(s.o.idle)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for requests: %w", err)
		}
		c, err := s.o.Listener.AcceptUnix()
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("wait for requests: %w", err)
		}
		busy.Go(func() {
			defer func() { <-slots }()
			s.serve(ctx, c)
		})
	}
}

// serve answers the one request of a connection. Each leaves one line in the log.
func (s *Server) serve(ctx context.Context, c *net.UnixConn) {
	defer c.Close()
	who, o, a := s.answer(ctx, c)
	log := s.o.Log.Info
	if a.Error != "" {
		log = s.o.Log.Warn
	}
	log("request", about(who, o, a)...)
	line, err := encode(a)
	if err == nil {
		_ = c.SetWriteDeadline(time.Now().Add(s.o.patience)) // it works on every socket
		_, err = c.Write(line)
	}
	if err != nil {
		s.o.Log.Warn("answer could not be given", "error", err)
	}
}

// about is what the log says of a request: who, what, and the answer.
func about(who unix.Ucred, o order.Order, a answer) []any {
	out := []any{"user", who.Uid, "pid", who.Pid, "verb", o.Verb, "unit", o.Unit}
	if len(o.Properties) > 0 {
		values, _ := order.Assignments(o.Properties)
		out = append(out, "properties", values, "runtime", o.Runtime, "for", o.For)
	}
	if len(o.Packages) > 0 {
		out = append(out, "packages", o.Packages, "hold", o.Hold)
	}
	if o.Signal != "" {
		out = append(out, "signal", o.Signal, "whom", o.Whom)
	}
	if a.Error != "" {
		return append(out, "error", a.Error)
	}
	return append(out, "job", a.Job)
}

func (s *Server) answer(ctx context.Context, c *net.UnixConn) (who unix.Ucred, o order.Order, a answer) {
	who, err := peer(c)
	if err == nil && !slices.Contains(s.o.Users, who.Uid) {
		err = fmt.Errorf("user %d may not ask", who.Uid)
	}
	if err == nil {
		o, err = s.read(c)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTime) // what has begun comes to its end
		defer cancel()
		a.Job, err = s.do(ctx, o)
	}
	if err != nil {
		a.Error, a.Lost = fmt.Sprintf("%.1000s", err.Error()), errors.Is(err, order.ErrLost)
	}
	return who, o, a
}

// peer is who is at the other end, as the kernel says; pid 0 if that cannot be known.
func peer(c *net.UnixConn) (unix.Ucred, error) {
	nobody := unix.Ucred{Uid: ^uint32(0)}
	raw, err := c.SyscallConn()
	if err != nil {
		return nobody, err
	}
	var who *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) { who, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, sockErr); err != nil {
		return nobody, fmt.Errorf("who asks cannot be known: %w", err)
	}
	return *who, nil
}

// read takes the one line of the connection.
func (s *Server) read(c *net.UnixConn) (order.Order, error) {
	if err := c.SetReadDeadline(time.Now().Add(s.o.patience)); err != nil {
		return order.Order{}, err
	}
	r := bufio.NewReaderSize(io.LimitReader(c, maxRequest+1), maxRequest+1)
	line, err := r.ReadSlice('\n')
	switch {
	case len(line) > maxRequest:
		return order.Order{}, fmt.Errorf("the request is longer than %d bytes", maxRequest)
	case err != nil:
		return order.Order{}, fmt.Errorf("the request is no whole line: %w", err)
	case r.Buffered() > 0:
		return order.Order{}, errors.New("there is one request for a connection")
	}
	return Parse(line[:len(line)-1])
}
