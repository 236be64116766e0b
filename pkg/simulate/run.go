package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
)

// run is one attempt from its decision to its end.
type run struct {
	patient *patient
	remedy  *config.Remedy
	attempt *incident.Attempt
	after   *config.TestAfter // what the test says of it; nil: nothing
	trial   care.Trial
}

// begin starts an attempt, which acts once this round of decisions is over. It is false when the executor would refuse.
func (h *host) begin(s *story, p *patient, d healing.Decision) bool {
	rem := h.remedy(p.live.Service, d.Remedy)
	target := rem.Target(p.live.Unit)
	if no := h.refusal(rem, target); no != "" {
		p.refused[rem.Name] = no
		h.note(s, incident.EvDecide, fmt.Sprintf("%s does not run: %s", rem.Name, no))
		return false
	}
	r := &run{patient: p, remedy: rem}
	r.attempt = &incident.Attempt{
		ID: fmt.Sprintf("%s-%d", s.ID, len(s.Attempts)+1), Incident: s.ID, Remedy: rem.Name, Kind: string(rem.Kind),
		Service: s.Service, By: incident.ByRule, Phase: incident.Intended, Intended: h.stamp(),
		Rule: p.live.Rule.Name, Instance: p.live.Instance, Fired: p.fired, Target: target, Locks: rem.Locks(p.live.Unit), Affects: rem.Affects,
	}
	r.after = h.after(rem.Name)
	r.trial.Remember(rem.Service, h.store)
	s.Attempts, s.run, p.due = append(s.Attempts, r.attempt.ID), r, 0
	h.past.Put(r.attempt)
	if err := s.Heal(); err != nil {
		panic("simulate: " + err.Error()) // the incident is open
	}
	h.note(s, incident.EvIntent, fmt.Sprintf("%s begins on %s", rem.Name, target))
	return true
}

// after is what the test says of the next run of the remedy, which begins now.
func (h *host) after(name string) *config.TestAfter {
	var last *config.TestAfter
	n := h.runs[name]
	h.runs[name]++
	for _, a := range h.test.After {
		if a.Remedy != name {
			continue
		}
		if last = a; n == 0 {
			break
		}
		n--
	}
	return last
}

func (h *host) remedy(s *config.Service, name string) *config.Remedy {
	from := h.cfg.Remedies
	if s != nil {
		from = s.Remedies
	}
	for _, r := range from {
		if r.Name == name {
			return r
		}
	}
	panic("simulate: a decision for a remedy that is no candidate: " + name)
}

// work brings every attempt to where it can be in this second.
func (h *host) work() {
	for _, s := range h.open() {
		if s.run != nil && s.run.attempt.Phase == incident.Intended {
			h.advance(s, s.run)
		}
	}
	h.judge()
}

// advance lets the action end, if its time has come.
func (h *host) advance(s *story, r *run) {
	takes, err := time.Duration(0), ""
	if r.after != nil {
		takes, err = r.after.Takes, r.after.Fails
	}
	if h.now.Boot-r.attempt.Intended.Boot < takes {
		return
	}
	r.attempt.Phase, r.attempt.Acted, r.attempt.Error = incident.Acted, h.stamp(), err
	h.act(r)
	text := fmt.Sprintf("%s on %s ran", r.remedy.Name, r.attempt.Target)
	if err != "" {
		text = fmt.Sprintf("%s on %s failed: %s", r.remedy.Name, r.attempt.Target, err)
	}
	h.note(s, incident.EvAct, text)
	ask, within, hold := care.ProofFor(h.rules, r.patient.live, r.remedy, h.now.Boot)
	r.trial.Begin(care.Course{Remedy: r.remedy, Intended: r.attempt.Intended.Boot, Afresh: h.now.Boot, Gravest: s.Severity,
		Firing: s.firing()}, h.now, ask, within, hold)
	if err != "" {
		h.conclude(s, incident.Ineffective, care.ActionFailed(err))
	}
}

// judge lets every trial have its look.
func (h *host) judge() {
	for _, s := range h.open() {
		if r := s.run; r != nil && r.trial.Judging() {
			if o, done, why := r.trial.Step(h.now, s.firing(), h.life(r.patient.live.Unit), h.life(r.attempt.Target)); done {
				h.conclude(s, o, why)
			}
		}
	}
}

// conclude ends an attempt with its outcome, and takes back what did not help.
func (h *host) conclude(s *story, outcome incident.Outcome, reason string) {
	r := s.run
	r.trial.End()
	a := r.attempt
	a.Phase, a.Outcome, a.Reason, a.Judged = incident.Judged, outcome, reason, h.stamp()
	h.note(s, incident.EvVerify, fmt.Sprintf("%s: %s: %s", r.remedy.Name, outcome, reason))
	if failed(outcome) && undoable(r.remedy) {
		a.Phase, a.Undone = incident.Undone, h.stamp()
		h.takeBack(a.ID)
		h.note(s, incident.EvUndo, fmt.Sprintf("%s was taken back", r.remedy.Name))
	}
	s.run = nil
	if outcome == incident.Inconclusive && len(s.patients) > 0 {
		h.handOver(s, care.Inconclusive(a))
	}
	if outcome == incident.Verified {
		h.settle(s)
	}
	for _, p := range s.patients {
		if p.topic = ""; p.due == 0 {
			p.due = h.now.Boot
		}
	}
	h.nextTurn()
	h.closeIfQuiet(s)
}

// settle ends the alerts whose recovery was just proved.
func (h *host) settle(s *story) {
	for _, p := range slices.Clone(s.patients) {
		h.rules.Settle(p.live, h.now, h.discharge)
	}
}
