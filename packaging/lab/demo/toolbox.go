package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// toolbox is the stage of the fourth act: remedies that are more than a restart, each on the real thing. What is not
// installed is skipped, and said to be.
type toolbox struct {
	ground
	manager *agenttest.Systemd
	app     *app
	disk    *disk
	redis   *agenttest.RedisServer
	clients *clients
	pool    *agenttest.Pool
	lacks   map[string]string // service: why its story cannot be played here
	agent   *rig.Agent
	tale    *tale
	results []result
}

// The services of the fourth act; each has a file of rules of that name.
const (
	ledger = "ledger"
	cart   = "cart"
	queue  = "queue"
	orders = "orders"
)

// toolTime bounds each of them. Disks are looked at every ten seconds.
const toolTime = 90 * time.Second

// tool is a story of the fourth act.
type tool struct {
	trial
	tell string // what is done
}

var _ scene = (*toolbox)(nil)

// newToolbox sets everything up and returns when the agent knows it.
func newToolbox(ctx context.Context, o Options) (*toolbox, error) {
	s := &toolbox{ground: ground{opts: o}}
	return s, s.build(ctx, s.openFolder, s.openManager, s.openPager, s.openParts, s.startAgent, s.listen)
}

// stories are the four of the fourth act.
func (s *toolbox) stories() []tool {
	return []tool{s.fullDisk(), s.fullCache(), s.longQueue(), s.slowPool()}
}

func (s *toolbox) openManager(ctx context.Context) (err error) {
	s.manager, err = s.startManager(ctx)
	return err
}

// openParts opens what the stories are about.
func (s *toolbox) openParts(ctx context.Context) error {
	s.lacks = map[string]string{}
	for _, open := range []func(context.Context) error{s.openApp, s.openDisk, s.openCache, s.openQueue, s.openPool} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *toolbox) startAgent(ctx context.Context) error {
	ports, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	values := map[string]string{
		"DIR": s.dir, "METRICS": ports[0], "PAGER": s.pager.Addr, "SHOP": s.app.addr, "DISK": s.file("disk"),
	}
	if s.redis != nil {
		values["REDIS"] = s.redis.Address
	}
	if s.pool != nil {
		values["PGBOUNCER"], values["DATABASE"] = s.pool.Socket, s.pool.Database
	}
	if err := ship("toolbox", s.dir, values, s.played); err != nil {
		return err
	}
	s.agent, err = s.runAgent(ctx, s.manager)
	return err
}

// played leaves the rules out of stories that cannot be played.
func (s *toolbox) played(name string) string {
	if s.lacks[strings.TrimSuffix(filepath.Base(name), ".hcl")] != "" {
		return ""
	}
	return name
}

func (s *toolbox) listen(ctx context.Context) (err error) {
	var probed []string
	if s.pool != nil {
		probed = []string{orders}
	}
	s.tale, err = s.hear(ctx, probed...)
	return err
}

func (s *toolbox) describe() string {
	return "More than a restart: remedies for a disk, a Redis, workers and a PgBouncer, all real."
}

func (s *toolbox) title(i int) string {
	st := s.stories()[i]
	return st.title + ": " + st.tell
}

func (s *toolbox) perform(ctx context.Context, i int) error {
	st := s.stories()[i]
	if why := s.lacks[st.service]; why != "" {
		s.results = append(s.results, result{title: st.title, end: "skipped", outside: why})
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	s.results = append(s.results, s.tale.playOut(ctx, st.trial))
	return s.results[len(s.results)-1].err
}

func (s *toolbox) last() string { return s.results[len(s.results)-1].line() }

func (s *toolbox) table() string { return table(s.results) }

func (s *toolbox) playground() string {
	return fmt.Sprintf("\nMore than a restart: %[1]s agent run REMEDY --dry-run --socket %[2]s, with a remedy of %[3]s\n",
		s.opts.Salve, s.agent.Socket, s.file("rules.d"))
}
