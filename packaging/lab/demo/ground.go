package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// ground is what every scene stands on: a folder of its own, and a pager to which people are told.
type ground struct {
	undo
	opts  Options
	dir   string
	pager *rig.Pager
}

// build takes the steps in order. After one that fails, what stood is taken back.
func (g *ground) build(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return errors.Join(err, g.close())
		}
	}
	return nil
}

func (g *ground) openFolder(context.Context) (err error) {
	if g.dir, err = os.MkdirTemp("", "salve-demo-"); err != nil {
		return err
	}
	g.onClose(func() error { return os.RemoveAll(g.dir) })
	return nil
}

// startManager gives the scene a user manager.
func (g *ground) startManager(ctx context.Context) (*agenttest.Systemd, error) {
	m, err := agenttest.StartManager(ctx, agenttest.Options{Existing: !g.opts.Private})
	if err == nil {
		g.onClose(m.Stop)
	}
	return m, err
}

// runAgent runs the agent whose configuration is in the folder.
func (g *ground) runAgent(ctx context.Context, m *agenttest.Systemd) (*rig.Agent, error) {
	a, err := rig.StartAgent(ctx, rig.AgentOptions{
		Binary: g.opts.Agent, Config: g.file("agent.hcl"), Systemd: m.Address,
		Socket: g.file("agent.sock"), Log: g.file("agent.log"),
	})
	if err == nil {
		g.onClose(func() error { a.Stop(); return nil })
	}
	return a, err
}

// hear opens the tale of the scene's agent, and returns once every probe of the services has answered.
func (g *ground) hear(ctx context.Context, probed ...string) (*tale, error) {
	t, err := openTale(ctx, g.file("agent.sock"), g.opts.Out, "")
	if err != nil {
		return nil, err
	}
	g.onClose(t.close)
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := t.awaitReady(ctx, probed); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, rig.LastLines(g.file("agent.log"), 15))
	}
	return t, nil
}

func (g *ground) openPager(context.Context) (err error) {
	if g.pager, err = rig.NewPager(); err != nil {
		return err
	}
	g.onClose(g.pager.Close)
	return os.WriteFile(g.file("pager.key"), []byte(g.pager.Secret+"\n"), 0o600)
}

func (g *ground) file(name string) string { return filepath.Join(g.dir, name) }
