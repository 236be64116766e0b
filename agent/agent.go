// Package agent is the Salve agent of one host: it samples, judges, repairs, and proves the repair.
// This file only puts the parts together; what each does stands in its own package below internal.
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/proto/localpb"
)

// Options of an agent.
type Options struct {
	ConfigFile string       // path of agent.hcl
	Systemd    string       // "system", "user" or "unix:path=…"; default "system"
	Log        hclog.Logger // required
	Clock      clock.Clock  // default: the kernel's

	step   func(name string)             // tests: told of each step of an attempt before it begins
	memory func(*journal.Journal) memory // tests: what stands between the agent and its journal
}

func (o *Options) validate() error {
	if o.ConfigFile == "" {
		return errors.New("option ConfigFile is missing")
	}
	if o.Log == nil {
		return errors.New("option Log is missing")
	}
	if o.Systemd == "" {
		o.Systemd = "system"
	}
	if o.Clock == nil {
		c, err := clock.System()
		if err != nil {
			return fmt.Errorf("read clock: %w", err)
		}
		o.Clock = c
	}
	if o.memory == nil {
		o.memory = func(j *journal.Journal) memory { return j }
	}
	return nil
}

// Run runs an agent until ctx ends or a part of it fails. Its configuration is read again on SIGHUP.
func Run(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	clock.Announce(o.Log)
	// Before anything else: until then a SIGHUP would end the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	a := &agent{o: o, log: o.Log}
	defer a.cleanUp()
	if err := a.build(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	a.stopping = ctx.Done()
	for name, run := range a.parts() {
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	group.Go(func() error { return a.reloadOn(ctx, hangup) })
	group.Go(func() error { return a.watchdog(ctx) })
	group.Go(func() error { return a.greet(ctx) })
	return group.Wait()
}

// greet tells systemd when the agent can be asked, and when it begins to stop.
func (a *agent) greet(ctx context.Context) error {
	select {
	case <-a.server.Ready():
		a.notify(daemon.SdNotifyReady)
		cfg := a.config()
		a.log.Info("agent runs", "host", cfg.Host, "autonomy", cfg.Autonomy, "services", len(cfg.Services))
	case <-ctx.Done():
	}
	<-ctx.Done()
	a.notify(daemon.SdNotifyStopping)
	return nil
}

// agent is one running agent.
type agent struct {
	o    Options
	log  hclog.Logger
	undo []undo // what to do at the end, last first

	plumbing

	reloading sync.Mutex // one reload at a time
	mu        sync.Mutex // guards what follows
	cfg       *config.Agent
	loaded    time.Time
	refused   string // why the last reload was refused
	refusals  uint64
}

// undo is a named clean-up.
type undo struct {
	name string
	do   func() error
}

func (a *agent) onStop(name string, do func() error) { a.undo = append(a.undo, undo{name, do}) }

func (a *agent) cleanUp() {
	for i := len(a.undo) - 1; i >= 0; i-- {
		if err := a.undo[i].do(); err != nil {
			a.log.Error("clean-up failed", "part", a.undo[i].name, "error", err)
		}
	}
}

func (a *agent) config() *config.Agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

func (a *agent) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		a.log.Warn("cannot notify systemd", "state", state, "error", err)
	}
}

// watchdog tells systemd that the engine still turns, twice in each period that systemd asks for.
func (a *agent) watchdog(ctx context.Context) error {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return err
	}
	ticker := time.NewTicker(period / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			ask, cancel := context.WithTimeout(ctx, period/3)
			if a.engine.Alive(ask) == nil {
				a.notify(daemon.SdNotifyWatchdog)
			}
			cancel()
		}
	}
}

// reloadOn reads the configuration again at each SIGHUP.
func (a *agent) reloadOn(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			if _, err := a.Reload(ctx, "SIGHUP"); err != nil {
				a.log.Error("configuration refused, the old one stays", "error", err)
			}
		}
	}
}

// Reload reads the configuration again and swaps it in only after every part accepted it.
func (a *agent) Reload(ctx context.Context, by string) (local.Reloaded, error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	a.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer a.notify(daemon.SdNotifyReady)
	cfg, outcome, err := a.compose(a.offers())
	if err == nil {
		err = a.swap(ctx, cfg)
	}
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refused, a.refusals = err.Error(), a.refusals+1
		return local.Reloaded{}, fmt.Errorf("configuration %w: %w", local.ErrRefused, err)
	}
	if a.delivery != nil {
		a.delivery.Loaded(outcome)
	}
	return local.Reloaded{Digest: cfg.Digest, Warnings: a.take(cfg, by)}, nil
}

// take notes that a configuration holds, and returns the warnings about it.
func (a *agent) take(cfg *config.Agent, by string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	told := warnings(cfg)
	if len(a.cfg.Rules) > 0 && len(cfg.Rules) == 0 { // a folder of rules that is away for a deployment is no error
		told = append(told, "there were rules before, and there is none any more: nothing is watched")
	}
	a.cfg, a.loaded, a.refused = cfg, a.o.Clock.Now().Wall, ""
	a.warn(told)
	a.log.Info("configuration loaded", "by", by, "digest", cfg.Digest)
	return told
}

func (a *agent) warn(warnings []string) {
	for _, w := range warnings {
		a.log.Warn("configuration", "warning", w)
	}
}

// AskReload asks the running agent of the same configuration file to read it again, and fails with
// the reason when the agent refuses it. The socket is the one that the file names, or the default when
// the file is too broken to say.
func AskReload(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	socket := config.SocketOf(o.ConfigFile)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial %s: %w", socket, err)
	}
	defer conn.Close()
	answer, err := localpb.NewAgentClient(conn).Reload(ctx, &localpb.ReloadRequest{})
	if err != nil {
		return fmt.Errorf("ask %s: %s", socket, status.Convert(err).Message())
	}
	fmt.Println(strings.TrimSpace("configuration loaded, digest " + answer.GetDigest()))
	return nil
}
