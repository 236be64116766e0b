package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// golden is the stage of the third act: one service that tells its own metrics, the pool of its database, and an agent
// that judges by what users feel. Its rule compares with a minute ago and its remedies take their time, so it is played
// beside the other acts.
type golden struct {
	ground
	manager *agenttest.Systemd
	patient *rig.Patient
	pool    *agenttest.Pool // nil: PgBouncer and PostgreSQL are not installed
	agent   *rig.Agent
	tale    *tale
	results []result
}

var _ scene = (*golden)(nil)

// newGolden sets everything up and returns when the customers have had a good minute.
func newGolden(ctx context.Context, o Options) (*golden, error) {
	s := &golden{ground: ground{opts: o}}
	return s, s.build(ctx,
		s.openFolder, s.openManager, s.openPager, s.openPool, s.admit, s.startAgent, s.listen, s.goodMinute)
}

func (s *golden) openManager(ctx context.Context) (err error) {
	s.manager, err = s.startManager(ctx)
	return err
}

func (s *golden) openPool(context.Context) error {
	p, err := agenttest.StartPgBouncer()
	if errors.Is(err, agenttest.ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	s.pool = p
	s.onClose(p.Remove)
	return nil
}

func (s *golden) admit(ctx context.Context) error {
	ports, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	s.patient = rig.NewPatient(unitPrefix+"shop", ports[0])
	u := rig.Unit{
		Description: "Salve demo: a shop that tells its metrics",
		Exec:        []string{s.opts.Service, "--listen", s.patient.Addr},
		Lines:       []string{"Type=notify", "Environment=GOMAXPROCS=2"},
	}
	if err := s.manager.WriteUnit(s.patient.Unit(), u.String()); err != nil {
		return err
	}
	if _, err := s.manager.Systemctl("start", s.patient.Unit()); err != nil {
		return err
	}
	_, err = s.patient.AwaitAny(ctx)
	return err
}

func (s *golden) startAgent(ctx context.Context) error {
	ports, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	values := map[string]string{
		"DIR": s.dir, "METRICS": ports[0], "PAGER": s.pager.Addr, "UNIT": s.patient.Unit(), "CHECKOUT": s.patient.Addr,
		"PGBOUNCER": s.file(".s.PGSQL.6432"), "DATABASE": "checkout", // nobody is there
	}
	if s.pool != nil {
		values["PGBOUNCER"], values["DATABASE"] = s.pool.Socket, s.pool.Database
	}
	if err := ship("golden", s.dir, values, sameName); err != nil {
		return err
	}
	if s.pool == nil {
		if err := tryOnlyRestart(s.file("rules.d/checkout.hcl")); err != nil {
			return err
		}
	}
	s.agent, err = s.runAgent(ctx, s.manager)
	return err
}

// tryOnlyRestart takes the reset of the pool out of the rule: Salve would wait until it knows how the pool is.
func tryOnlyRestart(path string) error {
	const both, one = `["drain-db-pool", "restart-app"]`, `["restart-app"]`
	text, err := os.ReadFile(path)
	if err == nil && strings.Count(string(text), both) != 1 {
		err = fmt.Errorf("%s does not try %s", path, both)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), both, one, 1)), 0o600)
}

func (s *golden) listen(ctx context.Context) (err error) {
	s.onClose(crowd(s.patient))
	s.tale, err = s.hear(ctx, checkout)
	return err
}

// goodMinute lets the time pass that the rule compares with.
func (s *golden) goodMinute(ctx context.Context) error {
	select {
	case <-time.After(window + time.Minute):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// window is that of the metrics.
const window = 10 * time.Second

// crowd sends customers who do not wait for each other; a slow shop has them all inside. What is returned ends that.
func crowd(p *rig.Patient) func() error {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				_, _ = p.Get(ctx, "/work") // what becomes of it is the agent's business
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() error {
		cancel()
		all.Wait()
		return nil
	}
}

func (s *golden) story() story {
	want := healedBy("restart-app")
	if s.pool != nil {
		want.attempts = append([]attempt{{remedy: "drain-db-pool", outcomes: []string{"ineffective"}}}, want.attempts...)
	}
	return story{
		title: "what users feel", service: checkout, tell: "one request in three fails, and all are slow",
		inflict: func(ctx context.Context, p *rig.Patient, _ int) error {
			return errors.Join(p.Fault(ctx, "errors?ratio=0.33"), p.Fault(ctx, "slow?delay=2500ms"))
		},
		want:   want,
		check:  s.served,
		within: 3 * time.Minute,
	}
}

// served wants a new process whose customers are well.
func (s *golden) served(ctx context.Context, p *rig.Patient, before int) (string, error) {
	seen, err := newProcess(ctx, p, before)
	if err != nil {
		return "", err
	}
	begun := time.Now()
	a, err := p.Get(ctx, "/work")
	took := time.Since(begun)
	if err == nil && (a.Status != http.StatusOK || took > time.Second) {
		err = fmt.Errorf("/work says %d after %v", a.Status, took.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s, and its work takes %v", seen, took.Round(time.Millisecond)), err
}

func (s *golden) describe() string {
	db := "a real PgBouncer and PostgreSQL"
	if s.pool == nil {
		db = "PgBouncer is not installed, so there is no pool to reset"
	}
	return "Meanwhile, a shop with a page of metrics, an agent that reads it, and customers: " + db + "."
}

func (s *golden) title(int) string { return s.story().title + ": " + s.story().tell }

func (s *golden) perform(ctx context.Context, _ int) error {
	s.results = append(s.results, play(ctx, s.tale, s.patient, s.story()))
	return s.results[len(s.results)-1].err
}

func (s *golden) last() string { return s.results[len(s.results)-1].line() }

func (s *golden) table() string { return table(s.results) }

func (s *golden) playground() string {
	return fmt.Sprintf("\nThe shop with metrics: curl %s; %s agent signals --socket %s\n",
		s.patient.URL("/metrics"), s.opts.Salve, s.agent.Socket)
}
