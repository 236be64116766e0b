package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

// until polls until cond holds: for what sends no event.
func until(ctx context.Context, what string, cond func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// awaitConnected waits until both hosts are connected to the controller and have reported the shop.
func (s *pair) awaitConnected(ctx context.Context) error {
	var last error
	err := until(ctx, "both hosts at the controller", func() bool {
		last = s.missing(ctx)
		return last == nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

func (s *pair) missing(ctx context.Context) error {
	var r adminpb.ListHostsResponse
	if err := s.salve.Ask(ctx, &r, "hosts"); err != nil {
		return err
	}
	there := 0
	for _, h := range r.GetHosts() {
		serves := slices.ContainsFunc(h.GetHost().GetServices(), func(hs *logpb.HostService) bool {
			return hs.GetService() == shop && hs.GetSole() == logpb.Sole_SOLE_UNSPECIFIED
		})
		if h.GetConnected() && serves {
			there++
		}
	}
	if there < len(s.hosts) {
		return fmt.Errorf("%d of %d hosts are connected", there, len(s.hosts))
	}
	return nil
}

// granted waits until the controller counts a permit for a host, and returns its token.
func (s *pairPlay) granted(h *shopHost) (token string, err error) {
	var failed error
	err = until(s.ctx, "permit for "+h.name, func() bool {
		var r adminpb.ListPermitsResponse
		if failed = s.salve.Ask(s.ctx, &r, "permits"); failed != nil {
			return false
		}
		token = tokenOf(&r, h.name)
		return token != ""
	})
	if err != nil {
		return "", errors.Join(err, failed)
	}
	return token, nil
}

// tokenOf is the token of a host's permit, "" if it holds none.
func tokenOf(r *adminpb.ListPermitsResponse, host string) string {
	for _, n := range r.GetNames() {
		for _, p := range r.GetPermits() {
			if n.GetName() == host && n.GetId() == p.GetHost() {
				return tokenText(p.GetToken())
			}
		}
	}
	return ""
}

// refused is an agent's word that the controller said no, and why.
func refused(e *localpb.TimelineEvent) bool {
	return strings.Contains(e.GetText(), "waits for its permit: 1 of 2 hosts of "+shop+" may be under repair at once")
}

// stillHeld wants the permit as it was.
func (s *pairPlay) stillHeld(permit string) error {
	var r adminpb.ListPermitsResponse
	if err := s.salve.Ask(s.ctx, &r, "permits"); err != nil {
		return err
	}
	p := r.GetPermits()
	if len(p) != 1 || tokenText(p[0].GetToken()) != permit || p[0].GetUnknown() {
		return fmt.Errorf("permit %s is not as it was; open are: %v", permit, p)
	}
	return nil
}

func tokenText(t *logpb.Token) string { return fmt.Sprintf("%d@%.8s", t.GetN(), t.GetGeneration()) }

// settled waits until no permit is open, and wants that this one ended well and was the last.
func (s *pairPlay) settled(permit string) error {
	records, err := s.allSettled()
	if err != nil {
		return err
	}
	last := records[len(records)-1].GetText()
	if want := "permit " + permit + ": serving"; last != want {
		return fmt.Errorf("the audit ends with %q, want %q", last, want)
	}
	return nil
}

// inTurn wants the last two permits one after the other in the audit: granted, settled, granted, settled.
func (s *pairPlay) inTurn() error {
	records, err := s.allSettled()
	if err != nil {
		return err
	}
	var course string
	for _, r := range records[max(0, len(records)-4):] {
		course += r.GetBy() + " " + r.GetWhat() + ", "
	}
	if want := "web-1 grant, web-1 settle, web-2 grant, web-2 settle, "; course != want {
		return fmt.Errorf("the audit says %swant %s", course, want)
	}
	return nil
}

// allSettled waits until no permit is open and returns the grants and settlements of the audit.
func (s *pairPlay) allSettled() ([]*logpb.AuditRecord, error) {
	var failed error
	err := until(s.ctx, "settlement", func() bool {
		var r adminpb.ListPermitsResponse
		failed = s.salve.Ask(s.ctx, &r, "permits")
		return failed == nil && len(r.GetPermits()) == 0
	})
	var r adminpb.ListAuditResponse
	if err = errors.Join(err, failed); err == nil {
		err = s.salve.Ask(s.ctx, &r, "audit", "--limit", "1000")
	}
	records := slices.DeleteFunc(r.GetRecords(), func(a *logpb.AuditRecord) bool {
		return a.GetWhat() != "grant" && a.GetWhat() != "settle"
	})
	if err == nil && len(records) == 0 {
		err = errors.New("the audit has no permits")
	}
	return records, err
}

// healed waits until the incidents of the hosts have ended, each because a remedy was verified.
func (s *pairPlay) healed(hosts ...*shopHost) error {
	for _, h := range hosts {
		e, err := h.tale.await(s.ctx, "end of the incident on "+h.name, func(e *localpb.TimelineEvent) bool {
			return e.GetType() == "end"
		})
		if err != nil {
			return err
		}
		in, err := h.tale.settled(s.ctx, e.GetIncident())
		if err != nil {
			return err
		}
		attempts := in.GetAttempts()
		if len(attempts) == 0 || attempts[len(attempts)-1].GetOutcome() != "verified" {
			return fmt.Errorf("the last attempt on %s was not verified: %s", h.name, e.GetText())
		}
	}
	return nil
}

// pids are the processes that answer on the two hosts.
func (s *pairPlay) pids() (pids [2]int, err error) {
	for i, h := range s.hosts {
		a, err := h.patient.AwaitAny(s.ctx)
		if err != nil {
			return pids, err
		}
		pids[i] = a.PID
	}
	return pids, nil
}
