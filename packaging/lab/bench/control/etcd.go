package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/packaging/lab/load/etcd"
	"github.com/salveops/salve/packaging/lab/rig"
)

// etcdStore is Debian's etcd with its own defaults.
type etcdStore struct {
	binary string
	parent string // folder for data

	dir       string
	addresses []string
	all       []*node
	clients   []*etcd.Client // one each member, for status and failover
	busy      []*etcd.Client // to the leader, for callers
}

var _ contender = (*etcdStore)(nil)

func (e *etcdStore) name() string   { return nameEtcd }
func (e *etcdStore) nodes() []*node { return e.all }
func (e *etcdStore) check() error   { return nil } // a put that fails ends the run

func (e *etcdStore) start(ctx context.Context, n int) error {
	var err error
	if e.dir, err = os.MkdirTemp(e.parent, "etcd-"); err != nil {
		return err
	}
	ports, err := rig.FreePorts(2 * n)
	if err != nil {
		return err
	}
	var cluster []string
	for i := range n {
		cluster = append(cluster, fmt.Sprintf("m%d=http://%s", i, ports[n+i]))
	}
	e.addresses = ports[:n]
	for i := range n {
		client, peer := "http://"+ports[i], "http://"+ports[n+i]
		name := fmt.Sprintf("m%d", i)
		p := newNode([]string{
			e.binary, "--name", name, "--data-dir", filepath.Join(e.dir, name),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
		}, filepath.Join(e.dir, name+".log"))
		e.all = append(e.all, p)
		if err := p.Start(); err != nil {
			return err
		}
		c, err := etcd.Dial(ctx, ports[i])
		if err != nil {
			return err
		}
		e.clients = append(e.clients, c)
	}
	return awaitLeader(ctx, e)
}

func (e *etcdStore) stop() {
	for _, c := range append(e.clients, e.busy...) {
		c.Close()
	}
	end(e.all)
	_ = os.RemoveAll(e.dir)
	e.all, e.clients, e.busy = nil, nil, nil
}

func (e *etcdStore) reign(ctx context.Context) (reign, error) {
	for i, c := range e.clients {
		if s, err := e.status(ctx, c); err == nil && s.Leader == s.Member {
			return reign{i, s.Term}, nil
		}
	}
	return reign{}, errors.New("no member leads")
}

func (e *etcdStore) index(ctx context.Context, i int) (uint64, error) {
	s, err := e.status(ctx, e.clients[i])
	return s.Index, err
}

func (e *etcdStore) follows(ctx context.Context, i int) bool {
	s, err := e.status(ctx, e.clients[i])
	return err == nil && s.Leader != 0
}

// statusTime bounds a question that a member cannot answer.
const statusTime = 2 * time.Second

func (e *etcdStore) status(ctx context.Context, c *etcd.Client) (etcd.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	return c.Status(ctx)
}

// callers speak with the leader, as agents do: no put takes the way through a follower.
func (e *etcdStore) callers(ctx context.Context, n int) ([]load.Caller, error) {
	r, err := ruler(ctx, e)
	if err != nil {
		return nil, err
	}
	for len(e.busy)*perConn < n {
		c, err := etcd.Dial(ctx, e.addresses[r.node])
		if err != nil {
			return nil, err
		}
		e.busy = append(e.busy, c)
	}
	return etcd.Callers(e.busy, n, perConn, commandSize)
}

// tryEvery is how often a put is tried again. A member without a leader keeps a put and proposes it once it
// knows one; one that still believes in the dead leader loses it. So each put stays, and others follow.
const tryEvery = 10 * time.Millisecond

// stand has nothing to do: every member has a client.
func (e *etcdStore) stand(context.Context) error { return nil }

// next puts through every member that lives.
func (e *etcdStore) next(ctx context.Context, dead int, since time.Time) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	var puts sync.WaitGroup
	defer puts.Wait()
	defer cancel()
	done := make(chan time.Duration, 1)
	put := func(c *etcd.Client) {
		if c.Put(ctx, []byte("failover"), []byte("x")) == nil {
			select {
			case done <- time.Since(since):
			default:
			}
		}
	}
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		for i, c := range e.clients {
			if i != dead {
				puts.Go(func() { put(c) })
			}
		}
		select {
		case took := <-done:
			return took, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}
