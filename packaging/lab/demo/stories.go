package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// stories are the seven, in the order in which they are played.
func (s *stage) stories() []story {
	return []story{
		{
			title: "crash", service: checkout, tell: "SIGKILL to the main process",
			inflict: sendSignal(syscall.SIGKILL),
			want:    healedBy("start-again"),
			check:   newProcess,
		},
		{
			title: "hang", service: search, tell: "SIGSTOP: it is there and answers nobody",
			inflict: sendSignal(syscall.SIGSTOP),
			want:    healedBy("restart-search"),
			check:   newProcess,
		},
		{
			title: "memory leak", service: basket, tell: "it takes 96 MiB in a second; 64 are allowed",
			inflict: posted("leak?mib=96&rate=96"),
			want:    healedBy("restart-basket"),
			check:   smallProcess,
		},
		{
			title: "half of the requests fail", service: payment, tell: "up, healthy by its health page, and useless",
			inflict: posted("errors?ratio=0.5"),
			want:    healedBy("restart-payment"),
			check:   fewErrors,
		},
		s.neighbour(),
		{
			title: "a remedy that does not help", service: catalog, tell: "its cache on disk is corrupt",
			inflict: s.corruptCache,
			want: ending{state: "resolved", attempts: []attempt{
				{remedy: "restart-catalog", outcomes: []string{"ineffective"}},
				{remedy: "serve-stale", outcomes: []string{"ineffective"}, undone: true},
				{remedy: "drop-cache", outcomes: []string{"verified"}},
			}},
			check: s.cacheMended,
		},
		{
			title: "beyond repair", service: shipping, tell: "its configuration is broken, then it dies",
			inflict: s.breakConfig,
			want: ending{state: "escalated", attempts: []attempt{
				{remedy: "start-shipping", outcomes: []string{"ineffective"}},
			}},
			check: s.personTold,
		},
	}
}

// neighbour is told with a quota where the kernel can enforce one, else with a stop.
func (s *stage) neighbour() story {
	st := story{
		title: "a neighbour eats the CPU", service: reports, tell: "a report that computes for ever",
		inflict: posted("burn?cpus=1"),
		want:    healedBy("hold-reports"),
		check:   held,
	}
	if !s.quota {
		st.tell += "; the CPU controller cannot be had here, so a quota would do nothing and it is stopped"
		st.want, st.check = healedBy("stop-reports"), gone
	}
	return st
}

func healedBy(remedy string) ending {
	return ending{state: "resolved", attempts: []attempt{{remedy: remedy, outcomes: []string{"verified"}}}}
}

func sendSignal(sig syscall.Signal) func(context.Context, *rig.Patient, int) error {
	return func(_ context.Context, _ *rig.Patient, pid int) error { return syscall.Kill(pid, sig) }
}

func posted(fault string) func(context.Context, *rig.Patient, int) error {
	return func(ctx context.Context, p *rig.Patient, _ int) error { return p.Fault(ctx, fault) }
}

// newProcess asks the service itself.
func newProcess(ctx context.Context, p *rig.Patient, before int) (string, error) {
	a, err := p.AwaitAny(ctx)
	if err != nil {
		return "", err
	}
	if a.PID == before {
		return "", fmt.Errorf("the old process %d still answers", before)
	}
	return fmt.Sprintf("process %d → %d answers 200", before, a.PID), nil
}

func smallProcess(ctx context.Context, p *rig.Patient, before int) (string, error) {
	seen, err := newProcess(ctx, p, before)
	if err != nil {
		return "", err
	}
	a, err := p.AwaitAny(ctx)
	if err != nil {
		return "", err
	}
	m, err := rig.MemoryOf(a.PID)
	if err == nil && m.RSS > 48<<20 {
		err = fmt.Errorf("it holds %d MiB", m.RSS>>20)
	}
	return fmt.Sprintf("%s with %d MiB", seen, m.RSS>>20), err
}

func fewErrors(ctx context.Context, p *rig.Patient, before int) (string, error) {
	seen, err := newProcess(ctx, p, before)
	if err != nil {
		return "", err
	}
	a, err := p.Get(ctx, "/errors")
	if err == nil && a.Status != http.StatusOK {
		err = errors.New("/errors says: " + a.Body)
	}
	return seen + ", no errors", err
}

// held wants the same process, alive, under a limit of the kernel's and with what that leaves it. The figure
// alone would not do: on a busy machine nobody gets a whole CPU.
func held(ctx context.Context, _ *rig.Patient, before int) (string, error) {
	share, err := cpuShare(ctx, before, time.Second)
	if err == nil && share >= 0.4 {
		err = fmt.Errorf("process %d still uses %.2f CPU", before, share)
	}
	if err == nil && share < 0.02 {
		err = fmt.Errorf("process %d uses %.2f CPU: it is not held, it is gone", before, share)
	}
	limit, limited := cpuLimit(before)
	if err == nil && (!limited || limit > 0.21) {
		err = fmt.Errorf("process %d uses %.2f CPU, but nothing keeps it from using more", before, share)
	}
	return fmt.Sprintf("process %d goes on with %.2f of the %.2f CPU that it may have, by the kernel", before, share, limit), err
}

func gone(_ context.Context, _ *rig.Patient, before int) (string, error) {
	if err := syscall.Kill(before, 0); !errors.Is(err, syscall.ESRCH) {
		return "", fmt.Errorf("process %d is still there", before)
	}
	return fmt.Sprintf("process %d is gone", before), nil
}

func (s *stage) corruptCache(ctx context.Context, p *rig.Patient, _ int) error {
	if a, err := p.Get(ctx, "/work"); err != nil || a.Status != http.StatusOK {
		return fmt.Errorf("it did not work before: %d, %w", a.Status, err)
	}
	return os.WriteFile(s.file("catalog.cache"), []byte("00000000\nrubbish\n"), 0o644)
}

// cacheMended wants work done again, and nothing left of the remedy that was taken back.
func (s *stage) cacheMended(ctx context.Context, p *rig.Patient, _ int) (string, error) {
	a, err := p.Get(ctx, "/work")
	if err == nil && a.Status != http.StatusOK {
		err = errors.New("/work says: " + a.Body)
	}
	if _, stat := os.Stat(s.file("catalog.stale")); !errors.Is(stat, os.ErrNotExist) {
		err = errors.Join(err, errors.New("the switch for old answers was not taken back"))
	}
	return "works again with a new cache; the useless switch is off", err
}

func (s *stage) breakConfig(_ context.Context, _ *rig.Patient, pid int) error {
	if err := os.WriteFile(s.file("shipping.conf"), []byte("greeting = hello\ngreting = oops\n"), 0o644); err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// personTold wants the unit still failed, and a signed message with evidence at the pager.
func (s *stage) personTold(ctx context.Context, p *rig.Patient, _ int) (string, error) {
	state, err := s.manager.Property(p.Unit(), "ActiveState")
	if err == nil && state != "failed" {
		err = fmt.Errorf("the unit is %s", state)
	}
	m, waited := s.pager.Await(ctx, "message about "+shipping, func(m rig.Page) bool { return m.Service == shipping })
	if err = errors.Join(err, waited); err != nil {
		return "", err
	}
	return fmt.Sprintf("a signed message of %d bytes with %d pieces of evidence came", m.Size, m.Evidence()), useful(m)
}

// useful wants in a message what a person needs: the timeline and the evidence.
func useful(m rig.Page) error {
	if m.Evidence() == 0 || !strings.Contains(m.Details, "  escalate  ") {
		return errors.New("the message comes without evidence or without timeline")
	}
	return nil
}
