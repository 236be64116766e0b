package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
)

// salve is the controller as it is shipped, one process a node.
type salve struct {
	binary  string
	parent  string // folder for data
	profile string // "default" or "fast"

	dir    string
	all    []*node
	grpc   []string // addresses for agents and operators
	conns  []*grpc.ClientConn
	fleet  *load.Fleet // nil: nobody has called yet
	caller load.Caller // of failovers

	refused int64 // requests, before figures were taken
}

var _ contender = (*salve)(nil)

func (s *salve) nodes() []*node { return s.all }

func (s *salve) name() string {
	if s.profile == "fast" {
		return nameFast
	}
	return nameSalve
}

func (s *salve) start(ctx context.Context, n int) error {
	var err error
	if s.dir, err = os.MkdirTemp(s.parent, "salve-"); err != nil {
		return err
	}
	ports, err := rig.FreePorts(3 * n)
	if err != nil {
		return err
	}
	s.grpc = ports[:n]
	for i := range n {
		config := filepath.Join(s.dir, fmt.Sprintf("ctl-%d.hcl", i))
		if err := os.WriteFile(config, []byte(s.config(i, n, ports)), 0o600); err != nil {
			return err
		}
		p := newNode([]string{s.binary, "--config", config}, filepath.Join(s.dir, fmt.Sprintf("ctl-%d.log", i)))
		s.all = append(s.all, p)
		if err := p.Start(); err != nil {
			return err
		}
		if err := s.dial(ctx, s.grpc[i]); err != nil {
			return err
		}
	}
	return awaitLeader(ctx, s)
}

func (s *salve) dial(ctx context.Context, address string) error {
	t, err := transport.New(transport.Options{})
	if err != nil {
		return err
	}
	conn, err := t.Client(ctx, address)
	if err == nil {
		s.conns = append(s.conns, conn)
	}
	return err
}

// config is the file of node i of n. Every caller is a host of its own, and all may act at once: fleet_max
// is out of the way, and the caps of the services are not.
func (s *salve) config(i, n int, ports []string) string {
	var peers []string
	for j := range n {
		peers = append(peers, fmt.Sprintf("%q", fmt.Sprintf("ctl-%d=%s", j, ports[n+j])))
	}
	return fmt.Sprintf(`node      = "ctl-%[1]d"
data      = "%[2]s/ctl-%[1]d"
fleet_max = 100000

listen {
  grpc = "%[3]s"
  raft = "%[4]s"
  http = "%[5]s"
}

raft {
  bootstrap_expect = %[6]d
  peers            = [%[7]s]
  profile          = "%[8]s"
}
`, i, s.dir, ports[i], ports[n+i], ports[2*n+i], n, strings.Join(peers, ", "), s.profile)
}

func (s *salve) stop() {
	if s.fleet != nil {
		s.fleet.Close()
	}
	for _, c := range s.conns {
		_ = c.Close()
	}
	end(s.all)
	_ = os.RemoveAll(s.dir)
	s.all, s.conns, s.fleet, s.caller, s.refused = nil, nil, nil, nil, 0
}

func (s *salve) reign(ctx context.Context) (reign, error) {
	for i := range s.conns {
		if st, err := s.status(ctx, i); err == nil && st.GetRole() == "leader" {
			return reign{i, st.GetTerm()}, nil
		}
	}
	return reign{}, errors.New("no node leads")
}

func (s *salve) index(ctx context.Context, i int) (uint64, error) {
	st, err := s.status(ctx, i)
	return st.GetAt().GetIndex(), err
}

func (s *salve) follows(ctx context.Context, i int) bool {
	st, err := s.status(ctx, i)
	return err == nil && st.GetLeader() != ""
}

// status is what node i says of itself, however little it knows of the others.
func (s *salve) status(ctx context.Context, i int) (*adminpb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	return adminpb.NewAdminClient(s.conns[i]).Status(ctx, &adminpb.StatusRequest{Stale: true})
}

// connect makes the fleet, or lets it grow, and waits until all of it is welcome.
func (s *salve) connect(ctx context.Context, o load.Options, n int) error {
	if s.fleet == nil {
		o.Addresses, o.Seed = s.grpc, "bench"
		var err error
		if s.fleet, err = load.Start(o); err != nil {
			return err
		}
	}
	s.fleet.Grow(n)
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	_, err := s.fleet.Await(ctx, time.Time{})
	return err
}

// callers are hosts, which come in pairs. The first host of a pair is for a moment the only one of its services,
// with a right to act alone; until it has confirmed that it lost that right, the second is refused. So each
// caller gets and settles one permit before anybody counts, and from then on refusals are faults.
func (s *salve) callers(ctx context.Context, n int) ([]load.Caller, error) {
	if err := s.connect(ctx, load.Options{PerConn: perConn, Size: commandSize}, n+n%2); err != nil {
		return nil, err
	}
	all := s.fleet.Callers(n)
	if _, err := load.Drive(ctx, all, load.Plan{For: time.Millisecond}); err != nil {
		return nil, err
	}
	s.refused = s.fleet.Stats().Refusals
	return all, nil
}

// eager is a fleet that looks for the next leader without pity, for it is the controller that is measured
// and not the patience of agents.
var eager = load.Options{Size: commandSize, BackoffMin: 5 * time.Millisecond, BackoffMax: 10 * time.Millisecond}

// stand connects a pair of hosts, one of which calls.
func (s *salve) stand(ctx context.Context) error {
	if err := s.connect(ctx, eager, 2); err != nil {
		return err
	}
	all := s.fleet.Callers(1)
	s.caller = all[0]
	_, err := load.Drive(ctx, all, load.Plan{For: time.Millisecond})
	s.refused = s.fleet.Stats().Refusals
	return err
}

// next asks for a permit in whatever session comes up, until it is granted, and settles it.
func (s *salve) next(ctx context.Context, _ int, since time.Time) (time.Duration, error) {
	op, _, err := s.caller.Next(ctx)
	took := time.Since(since)
	switch {
	case err != nil:
		return 0, err
	case op != load.Grant:
		return 0, errors.New("the caller was in the middle of something")
	}
	return took, s.caller.Finish(ctx)
}

// check fails if a controller broke the protocol or refused a permit that nothing stood in the way of.
func (s *salve) check() error {
	if s.fleet == nil {
		return nil
	}
	if f := s.fleet.Faults(); len(f) > 0 {
		return fmt.Errorf("the controller broke the protocol: %s", strings.Join(f, "; "))
	}
	if n := s.fleet.Stats().Refusals - s.refused; n > 0 {
		return fmt.Errorf("the controller refused %d permits that nothing stood in the way of; of all: %v", n, s.fleet.Refusals())
	}
	return nil
}
