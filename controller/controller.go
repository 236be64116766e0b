// Package controller is one node of Salve's controller. This file only puts the parts together; what each does
// stands in its own package below internal, and how they fit in DESIGN.md.
package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
)

// Options of a node.
type Options struct {
	ConfigFile string       // path of controller.hcl; "" together with Dev
	Dev        bool         // one node, a folder of its own that goes at the end, loopback only
	Log        hclog.Logger // required
	Clock      clock.Clock  // default: the kernel's
}

func (o *Options) validate() error {
	switch {
	case o.ConfigFile == "" && !o.Dev:
		return errors.New("option ConfigFile is missing")
	case o.ConfigFile != "" && o.Dev:
		return errors.New("options ConfigFile and Dev exclude each other")
	case o.Log == nil:
		return errors.New("option Log is missing")
	}
	if o.Clock == nil {
		c, err := clock.System()
		if err != nil {
			return fmt.Errorf("read clock: %w", err)
		}
		o.Clock = c
	}
	return nil
}

// Run runs a node until ctx ends or a part of it fails. Its configuration is read again on SIGHUP.
func Run(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	clock.Announce(o.Log)
	// Before anything else: until then a SIGHUP would end the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	c := &controller{o: o, log: o.Log, fatal: make(chan error, 1), reloadAsked: make(chan chan error)}
	defer c.cleanUp()
	if err := c.build(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, run := range c.parts() {
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	group.Go(func() error { return c.reloadOn(ctx, hangup) })
	group.Go(func() error { return c.answerReloads(ctx) })
	group.Go(func() error { return c.greet(ctx) })
	group.Go(func() error { return c.mustStop(ctx) })
	group.Go(func() error { return c.watchdog(ctx) })
	return group.Wait()
}

// controller is one running node.
type controller struct {
	o     Options
	log   hclog.Logger
	fatal chan error // why this replica must stop
	undo  []undo     // what to do at the end, last first
	file  *config.ControllerFile

	reloads     reloads
	reloadDoor  net.Listener    // nil: there is none
	reloadAsked chan chan error // by whom wants to know how it goes

	plumbing
}

// undo is a named clean-up.
type undo struct {
	name string
	do   func() error
}

func (c *controller) onStop(name string, do func() error) { c.undo = append(c.undo, undo{name, do}) }

func (c *controller) cleanUp() {
	for i := len(c.undo) - 1; i >= 0; i-- {
		if err := c.undo[i].do(); err != nil {
			c.log.Error("clean-up failed", "part", c.undo[i].name, "error", err)
		}
	}
}

// greet tells systemd when the node can be asked, and when it begins to stop. A node that waits for its peers
// is up, too: its API says what it waits for.
func (c *controller) greet(ctx context.Context) error {
	c.notify(daemon.SdNotifyReady)
	c.log.Info("controller runs", "node", c.file.Node, "grpc", c.grpcAddress(), "raft", c.node.Address(),
		"http", c.file.Listen.HTTP)
	<-ctx.Done()
	c.notify(daemon.SdNotifyStopping)
	return nil
}

func (c *controller) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		c.log.Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// mustStop ends the process when this replica can no longer be trusted.
func (c *controller) mustStop(ctx context.Context) error {
	select {
	case err := <-c.fatal:
		return err
	case <-ctx.Done():
		return nil
	}
}
