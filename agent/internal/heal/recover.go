package heal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// recover takes over what an earlier process left: attempts, pauses, open incidents.
func (e *Engine) recover() error {
	past, err := e.o.Journal.AttemptsWithin(healing.PastAge)
	if err != nil {
		return fmt.Errorf("read attempts: %w", err)
	}
	for _, a := range past {
		e.past.Put(a)
		e.watchEnd(a)
	}
	for i := range e.o.Settled {
		e.past.Put(&e.o.Settled[i])
	}
	pauses, err := e.o.Journal.Pauses()
	if err != nil {
		return fmt.Errorf("read pauses: %w", err)
	}
	for _, p := range pauses {
		e.pauses = append(e.pauses, *p)
	}
	e.recoverChanges()
	return nil
}

// revive takes over the open incidents of an earlier process, once it is known which units exist.
// Before that no rule is judged, so that nothing of the past is taken for new.
func (e *Engine) revive(ctx context.Context) {
	if e.revived || e.o.Units.SystemState() == "" {
		return
	}
	open, err := e.o.Journal.Incidents(journal.Filter{Open: true})
	if err != nil {
		e.log.Error("cannot read open incidents; their alerts open new ones", "error", err)
	}
	e.revived = true
	e.report()
	for i := len(open) - 1; i >= 0; i-- {
		e.reopen(open[i])
	}
	e.resume(ctx)
}

// reopen makes an incident of an earlier process alive again. Its alerts count as firing until the
// rules see that they clear; no data is no recovery.
func (e *Engine) reopen(rec *incident.Incident) {
	s := e.openStory(rec)
	for _, a := range e.past.List() { // the record may be older than its newest attempt
		if a.Incident == rec.ID && a.Phase != incident.Refused && !slices.Contains(rec.Attempts, a.ID) {
			rec.Attempts = append(rec.Attempts, a.ID)
		}
	}
	for i := range rec.Alerts {
		a := &rec.Alerts[i]
		if !a.Resolved.IsZero() {
			continue
		}
		if a.Blind { // it is told again if its condition stays unknown
			a.Resolved = e.stamp()
			e.tellEnd(a.Key, false)
			continue
		}
		live := e.rules.Restore(a.Rule, a.Service, a.Instance, e.instant(a.Fired))
		if live == nil {
			a.Resolved = e.stamp()
			e.tellEnd(a.Key, false)
			e.note(s, incident.EvAlert, fmt.Sprintf("%s is not watched any more: the configuration changed", a.Rule),
				map[string]string{"rule": a.Rule})
			continue
		}
		s.patients[idOf(live)] = &patient{live: live, key: a.Key, fired: a.Fired, due: e.started.Boot + 1}
	}
	s.evidence = &collection{volatile: make(chan struct{}), complete: true}
	close(s.evidence.volatile)
	if e.fleet != nil {
		if !e.interrupted(rec.ID) {
			e.tellEnds(s, false)
		}
		e.retell(s, func(incident.AlertKey) (uint64, bool) { return 0, false })
		e.fleet.Permits.Evidence(s.Evidence) // it may not have been handed over
	}
}

// interrupted reports whether an attempt of the incident goes on, at whose end its alerts' ends are told.
func (e *Engine) interrupted(id string) bool {
	return slices.ContainsFunc(e.o.Settled, func(a incident.Attempt) bool { return a.Incident == id && a.Open() })
}

// instant is the moment of a stamp on this boot's clock; what was before it counts as its start.
func (e *Engine) instant(st clock.Stamp) clock.Instant {
	if st.BootID == e.o.Clock.BootID() {
		return clock.Instant{Boot: st.Boot, Wall: st.Wall}
	}
	return clock.Instant{Boot: 1, Wall: st.Wall}
}

// resume goes on with the attempts that the death of an earlier process interrupted: first with what is to be verified, which
// has its time, and then with what is to be taken back.
func (e *Engine) resume(ctx context.Context) {
	undoing := func(a incident.Attempt) int {
		if a.Phase == incident.Undoing {
			return 1
		}
		return 0
	}
	for _, a := range slices.SortedStableFunc(slices.Values(e.o.Settled), func(a, b incident.Attempt) int {
		return undoing(a) - undoing(b)
	}) {
		s := e.stories[a.Incident]
		if s == nil {
			s = e.orphan(&a, fmt.Sprintf("%s ran on %s when the agent died", a.Remedy, a.Target))
		}
		if !slices.Contains(s.Attempts, a.ID) {
			s.Attempts = append(s.Attempts, a.ID)
		}
		e.note(s, incident.EvAct, fmt.Sprintf("the agent was restarted while %s was under way: %s", a.Remedy, settled(a)),
			map[string]string{"attempt": a.ID, "phase": string(a.Phase)})
		switch a.Phase {
		case incident.Acted, incident.Undoing:
			e.rejoin(ctx, s, a)
		case incident.Unknown:
			e.handOver(s, fmt.Sprintf("whether %s ran to its end on %s is unknown: %s", a.Remedy, a.Target, a.Reason))
		}
	}
	if e.fleet != nil {
		e.obey()
	}
	for _, s := range e.openStories() {
		if a := e.residue(s); a != nil && s.Escalate.Since.IsZero() { // the earlier process did not come to say it
			e.handOver(s, leftBehind(a))
		}
		e.closeIfQuiet(s)
		e.climb(s)
	}
	e.wakeAt(e.started.Boot + 1)
}

func settled(a incident.Attempt) string {
	switch a.Phase {
	case incident.Acted:
		return "it had run; it is being verified"
	case incident.NotDone:
		return "it had not begun"
	case incident.Undoing:
		return "it is being taken back"
	}
	return fmt.Sprintf("it counts as %s: %s", a.Phase, a.Reason)
}

// orphan is an open incident for an attempt whose own did not reach the disk, or has ended.
func (e *Engine) orphan(a *incident.Attempt, title string) *story {
	if s := e.services[a.Service]; s != nil {
		return s
	}
	id := a.Incident
	if _, err := e.o.Journal.Incident(id); !errors.Is(err, journal.ErrNotFound) {
		id = e.newID() // what has ended is not written over
	}
	return e.unbidden(id, a.Service, config.Warning, title)
}

// rejoin continues an attempt at the step after the one that is on disk, when no other one of its incident goes on: one may
// have been taken back because its time was over, while the next was under way.
func (e *Engine) rejoin(ctx context.Context, s *story, a incident.Attempt) {
	switch {
	case e.stopping:
		return // the next start goes on with it
	case s.run != nil:
		s.left = append(s.left, func() { e.rejoin(ctx, s, a) })
		return
	}
	rem := e.remedyOf(a.Service, a.Remedy)
	if rem == nil && a.Phase == incident.Undoing { // the journal has all that it takes
		rem = &config.Remedy{Name: a.Remedy, Kind: remedy.Kind(a.Kind)}
	}
	if rem == nil {
		e.abandon(s, a)
		return
	}
	r := &run{story: s, remedy: rem, attempt: &a, judged: make(chan verdict, 1),
		left: make(chan struct{}), ended: make(chan struct{})}
	r.request.Remedy, r.request.Unit = rem, a.Instance
	for _, p := range s.ordered() {
		if p.live.Rule.Name == a.Rule && p.live.Instance == a.Instance {
			r.patient, r.request.Unit = p, unitOf(p.live)
		}
	}
	s.run = r
	own := a
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		if own.Phase == incident.Undoing {
			e.undo(ctx, r, own)
			return
		}
		e.conclude(ctx, r, &own)
	}()
	if a.Phase == incident.Acted {
		e.verify(r)
	}
}

// goOn rejoins the next attempt that an earlier process left, if there is one.
func (s *story) goOn() {
	for s.run == nil && len(s.left) > 0 {
		next := s.left[0]
		s.left = s.left[1:]
		next()
	}
}

// abandon settles an attempt that nobody can verify any more.
func (e *Engine) abandon(s *story, a incident.Attempt) {
	a.Phase = incident.Unknown
	a.Reason = fmt.Sprintf("%s ran on %s, but is not configured any more: nobody can verify it", a.Remedy, a.Target)
	if err := e.o.Journal.PutAttempt(&a); err != nil {
		e.log.Error("cannot journal that an attempt was given up", "attempt", a.ID, "error", err)
	}
	e.past.Put(&a)
	e.tellEnds(s, false)
	if e.fleet != nil {
		e.fleet.Permits.Settle(a.ID, permit.Unknown, a.Reason)
	}
	e.handOver(s, a.Reason)
}

func (e *Engine) remedyOf(service, name string) *config.Remedy {
	remedies := e.cfg.Remedies
	if s := e.cfg.Service(service); s != nil {
		remedies = s.Remedies
	}
	for _, r := range remedies {
		if r.Name == name {
			return r
		}
	}
	return nil
}
