package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/change"
	"github.com/salveops/salve/agent/internal/delivery"
	"github.com/salveops/salve/agent/internal/diagnose"
	"github.com/salveops/salve/agent/internal/escalate"
	"github.com/salveops/salve/agent/internal/heal"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/record"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

// batchQueue is how many batches of samples may wait for the engine.
const batchQueue = 64

// connectTime is how long a start waits for systemd before it goes on without; what an earlier process
// left is then settled as far as can be known.
const (
	connectTime = 10 * time.Second
	connectLook = 2 * time.Millisecond
)

// memory is what the parts that act and decide keep in the journal.
type memory interface {
	act.Journal
	heal.Journal
}

var _ memory = (*journal.Journal)(nil)

// plumbing are the agent's parts, and the channels between them.
type plumbing struct {
	journal  *journal.Journal
	memory   memory // the same journal
	systemd  *systemd.Watcher
	runner   *act.Runner
	observer *observe.Observer
	changes  *change.Log
	changed  *change.Watcher
	releases *release.Learner
	courier  *escalate.Courier
	settled  []incident.Attempt // that an earlier process left open
	session  *session.Session   // nil: the agent works alone
	outbox   *journal.Outbox    // with session
	delivery *delivery.Delivery // with session
	identity *lines             // with session
	recorder *record.Recorder   // nil: nothing is recorded
	engine   *heal.Engine
	server   *local.Server
	stopping <-chan struct{} // closed when the agent stops
	batches  chan *observe.Batch
}

// build makes the parts, in the order in which they need one another.
func (a *agent) build(ctx context.Context) error {
	cfg, err := a.read(nil)
	if err != nil {
		return err
	}
	a.warn(warnings(cfg))
	a.cfg, a.loaded = cfg, a.o.Clock.Now().Wall
	for _, step := range []func(context.Context) error{
		a.openJournal, a.connect, a.buildReleases, a.buildRunner, a.buildObserver, a.buildCourier, a.buildSession,
		a.buildDelivery, a.buildChanges, a.buildRecorder, a.buildEngine, a.buildServer,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *agent) openJournal(context.Context) error {
	j, report, err := journal.Open(a.cfg.Data, journal.Options{Clock: a.o.Clock, Log: a.log.Named("journal")})
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	a.journal, a.memory = j, a.o.memory(j)
	a.onStop("journal", j.Close)
	if report.SetAside != "" {
		a.log.Error("the journal was damaged and has been set aside; attempts before now are not known, so remedies "+
			"wait until their budgets would be free again", "file", report.SetAside, "reason", report.Reason)
	}
	return nil
}

// connect starts to follow systemd, and waits for its first answer so that open attempts can be settled
// by evidence.
func (a *agent) connect(ctx context.Context) error {
	a.systemd = systemd.New(systemd.Options{Bus: a.o.Systemd, Clock: a.o.Clock, Log: a.log.Named("systemd")})
	a.systemd.Watch(patterns(a.cfg))
	follow, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.systemd.Run(follow); err != nil {
			a.log.Error("cannot follow systemd", "error", err)
		}
	}()
	a.onStop("systemd", func() error {
		cancel()
		<-done
		return nil
	})
	limit := time.NewTimer(connectTime)
	defer limit.Stop()
	look := time.NewTicker(connectLook)
	defer look.Stop()
	for a.systemd.SystemState() == "" {
		select {
		case <-look.C:
		case <-limit.C:
			a.log.Error("systemd does not answer; units are unknown until it does", "bus", a.o.Systemd)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// patterns are the units that the configuration is about.
func patterns(cfg *config.Agent) []string {
	var out []string
	for _, s := range cfg.Services {
		out = append(out, s.Unit)
		out = append(out, unitsOf(s.Remedies)...)
	}
	out = append(out, unitsOf(cfg.Remedies)...)
	for _, r := range cfg.Rules {
		out = append(out, r.Unit)
	}
	return compact(out)
}

// unitsOf are the units that the remedies name.
func unitsOf(remedies []*config.Remedy) []string {
	var out []string
	for _, r := range remedies {
		out = append(out, r.Touches()...)
		out = append(out, r.Unit(""))
	}
	return out
}

func (a *agent) buildRunner(ctx context.Context) (err error) {
	a.runner, err = act.New(act.Options{Allow: a.cfg.Allow, Systemd: a.systemd, Journal: a.memory, Clock: a.o.Clock,
		Log: a.log.Named("act"), Host: a.cfg.Host, Data: a.cfg.Data, Helper: a.helper(), Good: a.releases.Good,
		Reboots: a.cfg.Controller != nil && !a.user(),
		Expired: func(at incident.Attempt, err error) { a.engine.Expired(at, err) }})
	if err != nil {
		return err
	}
	a.settled = a.runner.Settle(ctx)
	return nil
}

// helper is the socket of the helper, which serves the system's own systemd only.
func (a *agent) helper() string {
	if a.user() {
		return ""
	}
	return helper.Socket
}

// user reports whether the units belong to a user manager.
func (a *agent) user() bool { return a.o.Systemd != "system" }

func (a *agent) buildObserver(context.Context) (err error) {
	a.batches = make(chan *observe.Batch, batchQueue)
	a.observer, err = observe.New(observe.Options{
		Clock: a.o.Clock, Log: a.log.Named("observe"), User: a.user(),
		Deliver: func(b *observe.Batch) {
			select {
			case a.batches <- b:
			case <-a.stopping:
				b.Release()
			}
		},
		Figure: a.figure,
		Keys:   func(family string, keys []string) { a.engine.SetKeys(family, keys) },
		Exec: func(ctx context.Context, argv []string) (int, error) {
			out, err := a.runner.Command(ctx, program.Cmd{Purpose: program.Probe, Argv: argv})
			return out.Code, err
		},
	})
	return err
}

func (a *agent) buildCourier(context.Context) error {
	senders, err := a.senders(a.cfg)
	if err != nil {
		return err
	}
	a.courier, err = escalate.New(escalate.Options{
		Store: a.journal.Space("courier"), Senders: senders, Clock: a.o.Clock, Host: a.cfg.Host, Log: a.log.Named("courier"),
		Report: func(r escalate.Result) { a.engine.Delivered(r) }, Incident: a.journal.Incident,
	})
	return err
}

// senders are the ways to people that the configuration names.
func (a *agent) senders(cfg *config.Agent) (map[string]notify.Sender, error) {
	deps := notify.Deps{Host: cfg.Host, Exec: a.tell}
	out := make(map[string]notify.Sender, len(cfg.Notifiers))
	for _, n := range cfg.Notifiers {
		s, err := notify.New(n, deps)
		if err != nil {
			return nil, err
		}
		out[n.ID()] = s
	}
	return out, nil
}

// tell runs the program of an exec notifier.
func (a *agent) tell(ctx context.Context, argv []string, stdin []byte) error {
	out, err := a.runner.Command(ctx, program.Cmd{Purpose: program.Notify, Argv: argv, Stdin: stdin})
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return exitError{code: out.Code, text: strings.TrimSpace(string(out.Stderr))}
	}
	return nil
}

// heartbeat pings the outside dead man's switch while the agent can do its work.
func (a *agent) heartbeat(ctx context.Context) error {
	hb := a.config().Heartbeat
	if hb == nil {
		return nil
	}
	beat := notify.Heartbeat{URL: hb.URL, Every: hb.Every, Log: a.log.Named("heartbeat")}
	return beat.Run(ctx, func() error {
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return errors.Join(a.engine.Alive(ask), a.journal.Healthy())
	})
}

// swap gives a new configuration to every part. What can refuse it comes first.
func (a *agent) swap(ctx context.Context, cfg *config.Agent) error {
	if err := a.fixed(cfg); err != nil {
		return err
	}
	senders, err := a.senders(cfg)
	if err != nil {
		return err
	}
	if err := a.identity.reload(); err != nil {
		return err
	}
	a.runner.SetAllow(cfg.Allow)
	a.systemd.Watch(patterns(cfg))
	a.courier.SetSenders(senders)
	a.changed.Aim(cfg.Services)
	a.releases.Aim(cfg.Services)
	return a.engine.Swap(ctx, cfg)
}

// fixed refuses changes of what is opened once, at the start.
func (a *agent) fixed(cfg *config.Agent) error {
	old := a.config()
	for name, change := range map[string][2]string{
		"data": {old.Data, cfg.Data}, "socket": {old.Socket, cfg.Socket}, "metrics": {old.Metrics, cfg.Metrics},
		"host": {old.Host, cfg.Host}, "record_mib": {strconv.Itoa(old.RecordMiB), strconv.Itoa(cfg.RecordMiB)},
	} {
		if change[0] != change[1] {
			return fmt.Errorf("%s changed from %q to %q: that takes a restart of the agent", name, change[0], change[1])
		}
	}
	if fmt.Sprint(heartbeatOf(old)) != fmt.Sprint(heartbeatOf(cfg)) {
		return errors.New("the heartbeat block changed: that takes a restart of the agent")
	}
	if was, now := fmt.Sprint(tlsOf(old)), fmt.Sprint(tlsOf(cfg)); was != now {
		return errors.New("the tls block changed: that takes a restart of the agent")
	}
	if was, now := addressesOf(old), addressesOf(cfg); !slices.Equal(was, now) {
		return fmt.Errorf("the controller's addresses changed from %q to %q: that takes a restart of the agent", was, now)
	}
	return nil
}

func heartbeatOf(cfg *config.Agent) notify.Heartbeat {
	if cfg.Heartbeat == nil {
		return notify.Heartbeat{}
	}
	return notify.Heartbeat{URL: cfg.Heartbeat.URL, Every: cfg.Heartbeat.Every}
}

func (a *agent) buildRecorder(context.Context) (err error) {
	if a.cfg.RecordMiB == 0 {
		return nil
	}
	a.recorder, err = record.New(record.Options{Dir: filepath.Join(a.cfg.Data, "recording"),
		Limit: int64(a.cfg.RecordMiB) << 20, Log: a.log.Named("record")})
	if err == nil {
		a.onStop("record", a.recorder.Close)
	}
	return err
}

func (a *agent) buildEngine(context.Context) (err error) {
	o := heal.Options{
		Config: a.cfg, Clock: a.o.Clock, Log: a.log, Units: a.systemd, UnitEvents: a.systemd.Events(), Samples: a.batches,
		Act: a.runner, Journal: a.memory, Page: a.courier, Observe: a.observer, Packages: transaction.New(""),
		Diagnose: diagnose.New(diagnose.Options{Clock: a.o.Clock, Figures: a.observer, Commands: a.runner,
			User: a.user()}),
		Controller:    a.controller(),
		Settled:       a.settled,
		Baseline:      a.baseline(),
		BudgetUnknown: a.journal.Lost(),
		Leave:         a.leave(),
		Step:          a.o.step,
		Changes:       a.changes,
		Hear:          a.changed.Hear,
	}
	if a.recorder != nil {
		o.Record = a.recorder
	}
	a.engine, err = heal.New(o)
	return err
}

func (a *agent) buildServer(context.Context) error {
	a.server = local.New(backend{a.engine, a}, local.Options{Socket: a.cfg.Socket, Metrics: a.cfg.Metrics, Log: a.log})
	return nil
}

// parts are what runs side by side. The engine comes down last: others report to it. Only the line to the controller
// outlasts it, because a host that is silent while its last action comes to a safe end would count as lost.
func (a *agent) parts() map[string]func(context.Context) error {
	idle := make(chan struct{})
	parts := map[string]func(context.Context) error{
		"engine": func(ctx context.Context) error {
			defer close(idle)
			return a.engine.Run(ctx)
		},
		"observer":  a.observer.Run,
		"changes":   a.changed.Run,
		"releases":  a.releases.Run,
		"limits":    a.runner.Serve,
		"courier":   a.courier.Run,
		"baseline":  until(idle, a.keep),
		"local":     a.server.Run,
		"heartbeat": a.heartbeat,
		"slim":      a.slim,
	}
	if a.recorder != nil {
		parts["record"] = a.recorder.Run
	}
	if a.session != nil {
		parts["session"], parts["identity"] = until(idle, a.session.Run), a.identity.run
		parts["delivery"] = a.delivery.Run
	}
	return parts
}

// until has a part run until over is closed, however its context ends.
func until(over <-chan struct{}, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		go func() {
			<-over
			end()
		}()
		return run(ctx)
	}
}

// warnings are the configuration's, one a line.
func warnings(cfg *config.Agent) []string {
	out := make([]string, len(cfg.Warnings))
	for i, w := range cfg.Warnings {
		out[i] = config.Line(w)
	}
	return out
}

// problems renders diagnostics for an error.
func problems(diags hcl.Diagnostics) string {
	var b strings.Builder
	if err := config.Render(&b, diags, false); err != nil {
		return errors.Join(diags, err).Error()
	}
	return strings.TrimRight(b.String(), "\n")
}

// exitError is how a program ended that was not well.
type exitError struct {
	code int
	text string
}

func (e exitError) Error() string { return fmt.Sprintf("exit status %d: %s", e.code, e.text) }

// ExitCode is what a program notifier is judged by.
func (e exitError) ExitCode() int { return e.code }
