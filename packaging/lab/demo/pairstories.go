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
	"github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/localpb"
)

// pairPlay is one story while it is played.
type pairPlay struct {
	*pair
	*pairResult
	ctx context.Context
}

// stories are the three of the second act.
func (s *pair) stories() []pairStory {
	return []pairStory{
		{
			title: "one at a time",
			tell:  "web-1 leaks, and comes back slowly; meanwhile web-2, which still serves, fails at its work",
			play:  oneAtATime,
		},
		{
			title: "the controller dies in a repair",
			tell:  "web-1 is under repair; the controller gets SIGKILL, and when it is back, SIGTERM",
			play:  controllerDies,
		},
		{
			title: "a person helps",
			tell:  "web-2's configuration is broken, then it dies; a person says salve ack, mends it, and says salve release",
			play:  personHelps,
		},
	}
}

// say prints what the demo itself does.
func (s *pairPlay) say(format string, args ...any) {
	printLine(s.opts.Out, time.Since(s.fault), label("demo"), "does", fmt.Sprintf(format, args...))
}

// oneAtATime: a restart of a host that is sick but serves is refused while the other one is under repair, and
// granted when that serves again.
func oneAtATime(s *pairPlay) error {
	first, second := s.hosts[0], s.hosts[1]
	before, err := s.pids()
	if err != nil {
		return err
	}
	if err := errors.Join(first.cold(), first.patient.Fault(s.ctx, "leak?mib=96&rate=200")); err != nil {
		return err
	}
	if _, err := s.granted(first); err != nil {
		return err
	}
	s.mark("web-1 granted")
	s.say("the work of web-2 fails from now on")
	if err := second.patient.Fault(s.ctx, "errors?ratio=1"); err != nil {
		return err
	}
	no, err := second.tale.await(s.ctx, "refusal", refused)
	if err != nil {
		return err
	}
	s.markAt("web-2 refused", no.GetAt().AsTime())
	if a, err := second.patient.Get(s.ctx, "/healthz"); err != nil || a.PID != before[1] || a.Status != http.StatusOK {
		return fmt.Errorf("web-2 was refused and does not serve any more: %+v, %w", a, err)
	}
	s.say("the start of web-1 may come to its end")
	if err := first.warm(); err != nil {
		return err
	}
	if _, err := s.granted(second); err != nil {
		return err
	}
	s.mark("granted")
	if err := s.healed(first, second); err != nil {
		return err
	}
	s.mark("healed")
	return s.oneAtATimeOutside(before)
}

func (s *pairPlay) oneAtATimeOutside(before [2]int) error {
	after, err := s.pids()
	if err != nil {
		return err
	}
	asked, missed := s.customers.count()
	switch {
	case after[0] == before[0] || after[1] == before[1]:
		return fmt.Errorf("the processes were %v and are %v", before, after)
	case missed > 0:
		return fmt.Errorf("of %d customers %d were served by nobody", asked, missed)
	}
	s.end = "resolved"
	s.outside = fmt.Sprintf("both processes are new, and each of %d customers was served", asked)
	return s.inTurn()
}

// controllerDies: the permit of a repair outlives the controller, and nothing runs twice.
func controllerDies(s *pairPlay) error {
	h := s.hosts[0]
	starts := h.starts()
	if err := errors.Join(h.cold(), h.patient.Fault(s.ctx, "errors?ratio=1")); err != nil {
		return err
	}
	permit, err := s.granted(h)
	if err != nil {
		return err
	}
	if err := until(s.ctx, "the restart", func() bool { return h.starts() > starts }); err != nil {
		return err
	}
	s.mark("under repair")
	for _, end := range []struct {
		how, signal string
		do          func() error
	}{
		{"killed", "SIGKILL", s.controller.Kill},
		{"stopped", "SIGTERM", func() error { s.controller.Stop(); return nil }},
	} {
		s.say("%s to the controller, then it is started again", end.signal)
		if err := end.do(); err != nil {
			return err
		}
		s.mark(end.how)
		if err := errors.Join(s.wake(s.ctx), s.awaitConnected(s.ctx), s.stillHeld(permit)); err != nil {
			return err
		}
		s.mark("back")
		s.say("salve permits: %s is open", permit)
	}
	if err := errors.Join(h.warm(), s.healed(h), s.settled(permit)); err != nil {
		return err
	}
	s.mark("settled")
	if n := h.starts() - starts; n != 1 {
		return fmt.Errorf("the shop was started %d times", n)
	}
	s.end = "resolved"
	s.outside = fmt.Sprintf("permit %s was there both times; the shop was started once", permit)
	return nil
}

// personHelps: what cannot be healed reaches a person, is left alone while the person has it, is healed when it is
// handed back, and the same place hears the end.
func personHelps(s *pairPlay) error {
	h := s.hosts[1]
	if err := s.breakConfig(h); err != nil {
		return err
	}
	told, err := s.paged(notify.Trigger, "")
	if err != nil {
		return err
	}
	s.mark("told")
	s.say("salve ack %.8s", told.Incident)
	if _, err := s.salve.Run(s.ctx, "ack", told.Incident); err != nil {
		return err
	}
	if err := s.acknowledged(h); err != nil {
		return err
	}
	s.mark("acknowledged")
	if err := s.leftAlone(h); err != nil {
		return err
	}
	if err := os.WriteFile(h.file("shop.conf"), []byte("greeting = hello\n"), 0o600); err != nil {
		return err
	}
	s.say("the configuration is mended; salve release %.8s", told.Incident)
	if _, err := s.salve.Run(s.ctx, "release", told.Incident); err != nil {
		return err
	}
	s.mark("released")
	if err := s.healed(h); err != nil {
		return err
	}
	s.mark("healed")
	if _, err := s.paged(notify.Resolve, told.Incident); err != nil {
		return err
	}
	s.mark("end told")
	return s.personHelpsOutside(h, told)
}

func (s *pairPlay) personHelpsOutside(h *shopHost, told rig.Page) error {
	a, err := h.patient.AwaitAny(s.ctx)
	if err != nil {
		return err
	}
	kinds := ""
	for _, m := range s.pager.Pages() {
		if m.Incident != told.Incident {
			return fmt.Errorf("a message about another incident came: %s", m.Title)
		}
		kinds += string(m.Kind) + " "
	}
	if kinds != "trigger resolve " {
		return fmt.Errorf("the messages that came are: %s", kinds)
	}
	s.end = "resolved"
	s.outside = fmt.Sprintf("process %d answers 200; one trigger of %d bytes and one resolve came about incident %.8s",
		a.PID, told.Size, told.Incident)
	return tellsAll(h, told)
}

// tellsAll wants in the controller's message what a person needs: which host, what was tried there, and how to read on.
func tellsAll(h *shopHost, m rig.Page) error {
	if m.Host != h.name || !strings.Contains(m.Summary, "start-shop") || !strings.Contains(m.Summary, "salve explain") ||
		!strings.Contains(m.Details, h.name) {
		return fmt.Errorf("the message does not tell the story: host %q: %s", m.Host, m.Summary)
	}
	return nil
}

func (s *pairPlay) breakConfig(h *shopHost) error {
	a, err := h.patient.AwaitAny(s.ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(h.file("shop.conf"), []byte("greting = oops\n"), 0o600); err != nil {
		return err
	}
	return syscall.Kill(a.PID, syscall.SIGKILL)
}

// paged waits for a message of a kind about the shop, and about that incident if it is known.
func (s *pairPlay) paged(kind notify.Kind, incident string) (rig.Page, error) {
	return s.pager.Await(s.ctx, string(kind)+" about "+shop, func(m rig.Page) bool {
		return m.Kind == kind && m.Service == shop && (incident == "" || m.Incident == incident)
	})
}

// acknowledged waits until the host's agent knows that a person has the incident.
func (s *pairPlay) acknowledged(h *shopHost) error {
	var failed error
	return errors.Join(until(s.ctx, "acknowledgement on "+h.name, func() bool {
		in, err := h.tale.incident(s.ctx, h.tale.lastIncident())
		failed = err
		return err == nil && in.GetSummary().GetAckBy() != ""
	}), failed)
}

// second is how long after the first attempt the second one is due at the latest: ten seconds, a fifth more by chance,
// and some for the agent.
const second = 14 * time.Second

// leftAlone waits until the second attempt would be due, and wants that none was made.
func (s *pairPlay) leftAlone(h *shopHost) error {
	starts := h.starts()
	judged, err := h.tale.await(s.ctx, "end of the first attempt", func(e *localpb.TimelineEvent) bool {
		return e.GetType() == "verify"
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Until(judged.GetAt().AsTime().Add(second))):
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if n := h.starts() - starts; n > 0 {
		return fmt.Errorf("a person has the incident, and the shop was started %d times", n)
	}
	s.mark("left alone until")
	return nil
}
