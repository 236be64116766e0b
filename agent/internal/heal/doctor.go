package heal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/rule"
)

// Verdicts of the doctor.
const (
	fine    = "ok"
	warning = "warning"
	failed  = "failed"
)

// Doctor examines the host, every service and every remedy, and changes nothing: what would keep Salve
// from doing its work at three in the morning is better known now.
func (e *Engine) Doctor(ctx context.Context) ([]local.Finding, error) {
	var out []local.Finding
	var checks []check
	if err := e.call(ctx, func() {
		out = append(e.examineHost(), e.examinePeople()...)
		for _, s := range e.cfg.Services {
			out = append(out, e.examineService(s)...)
		}
		out = append(out, e.examineRules()...)
		checks = e.checks()
	}); err != nil {
		return nil, err
	}
	for _, c := range checks {
		out = append(out, e.wouldRun(ctx, c))
	}
	return out, nil
}

func (e *Engine) examineHost() []local.Finding {
	var out []local.Finding
	if err := e.o.Journal.Healthy(); err != nil {
		out = append(out, local.Finding{About: "journal", Verdict: failed, Text: err.Error(),
			Hint: "without intents on disk nothing is done; free space or fix the permissions of " + e.cfg.Data})
	} else {
		out = append(out, local.Finding{About: "journal", Verdict: fine, Text: "intents can be written to " + e.cfg.Data})
	}
	switch state := e.o.Units.SystemState(); state {
	case "running", "degraded":
		out = append(out, local.Finding{About: "systemd", Verdict: fine, Text: "connected; the system is " + state})
	case "":
		out = append(out, local.Finding{About: "systemd", Verdict: failed, Text: "no connection",
			Hint: "is dbus running, and may this user talk to systemd?"})
	default:
		out = append(out, local.Finding{About: "systemd", Verdict: warning,
			Text: fmt.Sprintf("the system is %s: nothing is done until it is running", state)})
	}
	if file, since := e.transaction(); file != "" {
		out = append(out, local.Finding{About: "packages", Verdict: warning, Text: fmt.Sprintf(
			"%s has been locked for %s: units of packages are left alone meanwhile", file, since.Round(1e9))})
	}
	if e.cfg.Autonomy == config.Observe {
		out = append(out, local.Finding{About: "autonomy", Verdict: warning, Text: "observe: nothing is done, only recorded",
			Hint: `set autonomy = "full" in agent.hcl when its records have convinced you`})
	}
	if len(e.cfg.Allow) == 0 {
		out = append(out, local.Finding{About: "allow", Verdict: warning, Text: "no allow block: nothing may be done",
			Hint: "add an allow block with the units that Salve may act on"})
	}
	out = append(out, e.examineController()...)
	for _, p := range e.pauses {
		out = append(out, local.Finding{About: "pause", Verdict: warning,
			Text: fmt.Sprintf("%s is paused by %s: %s", p.Scope, p.By, p.Reason), Hint: "salve agent resume " + p.ID})
	}
	return out
}

// examineController says whether what needs a permit would get one, and what the controller forbids.
func (e *Engine) examineController() []local.Finding {
	if e.fleet == nil {
		return nil
	}
	line := e.lineView()
	f := local.Finding{About: "controller", Verdict: fine, Text: fmt.Sprintf("connected to %s, generation %.8s", line.Address, line.Generation)}
	if !line.Connected {
		f.Verdict, f.Text = failed, "cannot be reached: "+line.Problem
		f.Hint = "what takes away what this host serves waits until it can; dead units are started all the same. Tried are " +
			strings.Join(line.Addresses, ", ")
	}
	out := []local.Finding{f}
	for _, p := range line.Pauses {
		out = append(out, local.Finding{About: "pause", Verdict: warning,
			Text: fmt.Sprintf("%s is paused through the controller by %s: %s", p.Scope, p.By, p.Reason), Hint: "salve resume " + p.ID})
	}
	for _, s := range e.cfg.Services {
		if s.Alone == config.AloneAct {
			out = append(out, local.Finding{About: "service " + s.Name, Verdict: warning,
				Text: "alone = \"act\": while the controller cannot be reached it acts without a permit; with several hosts nothing is guaranteed"})
		}
	}
	return out
}

func (e *Engine) examinePeople() []local.Finding {
	if len(e.cfg.Notifiers) == 0 {
		return []local.Finding{{About: "notifiers", Verdict: warning,
			Text: "none: nobody would be told of what cannot be healed",
			Hint: `add a notifier and an escalation "default" to agent.hcl`}}
	}
	if e.cfg.Paging(defaults.EscalateTo) == nil {
		return []local.Finding{{About: "escalation", Verdict: warning,
			Text: `no escalation "default": rules without an escalate block tell nobody`}}
	}
	return []local.Finding{{About: "escalation", Verdict: fine, Text: `"default" exists; ` + e.toldBy(defaults.EscalateTo)}}
}

func (e *Engine) toldBy(name string) string {
	var ids []string
	for _, s := range e.cfg.Paging(name).Steps {
		ids = append(ids, s.Notify...)
	}
	return "it tells " + strings.Join(ids, ", ")
}

func (e *Engine) examineService(s *config.Service) []local.Finding {
	about := "service " + s.Name
	units := e.unitsOf(s)
	if len(units) == 0 {
		return []local.Finding{{About: about, Verdict: failed, Text: fmt.Sprintf("systemd knows no unit %s", s.Unit),
			Hint: "check the name with systemctl list-unit-files, or install the unit"}}
	}
	var out []local.Finding
	for _, name := range units {
		u, ok := e.o.Units.Unit(name)
		switch {
		case !known(u, ok):
			out = append(out, local.Finding{About: about, Verdict: failed, Text: name + " is not loaded"})
		case u.Load == "masked":
			out = append(out, local.Finding{About: about, Verdict: warning, Text: name + " is masked: a person wants it down"})
		case u.Restart == "always" && e.watchesFailure(s):
			out = append(out, local.Finding{About: about, Verdict: warning,
				Text: fmt.Sprintf("%s has Restart=always: systemd restarts it itself, so unit.failed is true only "+
					"after it hits the start limit", name),
				Hint: "leave it so if systemd's restarts are enough, or watch unit.restarts instead"})
		}
	}
	return out
}

// watchesFailure reports whether a rule of the service waits for unit.failed.
func (e *Engine) watchesFailure(s *config.Service) bool {
	return slices.ContainsFunc(e.cfg.Rules, func(r *config.Rule) bool {
		return r.About(s) && strings.Contains(r.When.Text(), "unit.failed")
	})
}

// examineRules finds conditions that cannot be known, and rules that match nothing.
func (e *Engine) examineRules() []local.Finding {
	matched := make(map[*config.Rule]bool)
	var out []local.Finding
	for _, a := range e.rules.Every() {
		matched[a.Rule] = true
		var missing []string
		for _, r := range a.When.Readings(e.o.Clock.Now()) {
			if !r.Known {
				missing = append(missing, r.Signal)
			}
		}
		if len(missing) > 0 {
			out = append(out, local.Finding{About: ruleAbout(a), Verdict: warning,
				Text: "not known now: " + strings.Join(missing, ", "),
				Hint: "salve agent signals says when each was last seen; a missing cgroup controller shows here too"})
		}
	}
	for _, r := range e.cfg.Rules {
		if !matched[r] {
			out = append(out, local.Finding{About: "rule " + r.Name, Verdict: warning, Text: "matches nothing on this host"})
		}
	}
	return out
}

func ruleAbout(a *rule.Alert) string {
	return fmt.Sprintf("rule %s for %s", a.Rule.Name, care.Subject(a))
}

// check is one remedy for one unit.
type check struct {
	rem      *config.Remedy
	unit     string
	decision healing.Decision
}

// checks are all remedies with what the guards say of them now.
func (e *Engine) checks() []check {
	var out []check
	for _, s := range e.cfg.Services {
		units := e.unitsOf(s)
		if len(units) == 0 {
			units = []string{""}
		}
		for _, rem := range s.Remedies {
			for _, unit := range units {
				f := e.requestFacts(rem, unit, nil, "")
				f.Candidates[0].Conditional = f.Candidates[0].Conditional && f.Candidates[0].Precondition == expr.Unknown
				out = append(out, check{rem: rem, unit: unit, decision: healing.Request(e.stamp(), f, rem.Name)})
			}
		}
	}
	return out
}

// wouldRun asks the executor, too, as if a rule had decided.
func (e *Engine) wouldRun(ctx context.Context, c check) local.Finding {
	f := local.Finding{About: "remedy " + strings.TrimPrefix(c.rem.Owner()+"/"+c.rem.Name, "/"), Verdict: fine}
	if c.unit != "" {
		f.About += " for " + c.unit
	}
	if c.decision.Verdict != healing.Act {
		f.Verdict, f.Text = warning, "refused because "+c.decision.Reason
		return f
	}
	plan, err := e.o.Act.Prepare(ctx, kind.Request{Remedy: c.rem, Unit: c.unit, ByPerson: true})
	var refusal *kind.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Needless:
		f.Text = "would run when it is needed; now " + refusal.Reason
	case errors.As(err, &refusal):
		f.Verdict, f.Text = failed, "refused because "+refusal.Reason
		if refusal.Temporary {
			f.Verdict = warning
		}
	case err != nil:
		f.Verdict, f.Text = failed, "cannot be checked: "+err.Error()
	default:
		f.Text = "would run: " + plan.Text
	}
	return e.withLeave(c, cmp.Or(plan.Target, c.rem.Target(c.unit)), f)
}

// Leave is what root told of whom it lets do what to a unit. The zero value: all that was asked about.
type Leave struct {
	Refused string // what is not, "": nothing
	Unknown string // why nobody knows, "": it is known
}

// withLeave is a finding about a remedy that would run, as far as the agent is concerned, with what root says to it.
func (e *Engine) withLeave(c check, unit string, f local.Finding) local.Finding {
	spec, ok := remedy.Lookup(string(c.rem.Kind))
	if !ok || spec.Target != remedy.OnUnit || e.o.Leave == nil || f.Verdict != fine {
		return f
	}
	switch leave := e.o.Leave(unit, spec.Verbs); {
	case leave.Unknown != "":
		f.Verdict, f.Text = warning, f.Text+"; whether systemd lets Salve do so is unknown: "+leave.Unknown
	case leave.Refused != "":
		f.Verdict, f.Text = failed, "refused because root has not told polkit of "+leave.Refused
		f.Hint = "systemctl reload salve-agent has it told what the allow blocks say now"
	}
	return f
}
