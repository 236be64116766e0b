package care

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// Service names the service of an alert, "" for one about the host.
func Service(a *rule.Alert) string {
	if a.Service == nil {
		return ""
	}
	return a.Service.Name
}

// Subject is what an alert is about, as people name it.
func Subject(a *rule.Alert) string {
	if a.Instance != "" {
		return a.Instance
	}
	if a.Service != nil {
		return a.Service.Name
	}
	return "this host"
}

// Record is an alert as the journal keeps it. Key and the moments are left to the caller.
func Record(ev rule.Event) incident.Alert {
	a := ev.Alert
	severity, _ := a.Severity()
	return incident.Alert{
		Rule: a.Rule.Name, Service: Service(a), Instance: a.Instance, Severity: string(severity),
		Condition: a.Rule.When.Text(), Values: Values(ev.Readings), Blind: a.Blind,
	}
}

// Values are the figures behind an alert, as records keep them.
func Values(readings []expr.Reading) []incident.Value {
	out := make([]incident.Value, len(readings))
	for i, r := range readings {
		out[i] = incident.Value{Signal: r.Signal, Value: r.Value, Known: r.Known, Text: r.Text}
	}
	return out
}

// Fires is the sentence about an alert that has just fired, or gone blind.
func Fires(a *rule.Alert, record incident.Alert) string {
	verb := "fires"
	if a.Blind {
		verb = "cannot be known"
	}
	text := fmt.Sprintf("%s %s for %s: %s", a.Rule.Name, verb, Subject(a), reads(record.Values, record.Condition))
	if severity, slo := a.Severity(); slo != "" {
		text += fmt.Sprintf("; %s, because %s", severity, overspent(slo))
	}
	return text
}

func overspent(slo string) string { return fmt.Sprintf("the error budget of %s is spent", slo) }

// Raise makes an incident as grave as an objective has made one of its alerts since that fired, and says so; "" if
// nothing changes.
func Raise(i *incident.Incident, firing []*rule.Alert) (text string) {
	for _, a := range firing {
		if severity, slo := a.Severity(); slo != "" && incident.Graver(string(severity), i.Severity) {
			i.Severity = string(severity)
			text = fmt.Sprintf("it is %s from now on, because %s", severity, overspent(slo))
		}
	}
	return text
}

// Ceases is the sentence about an alert that has resolved.
func Ceases(a *rule.Alert) string {
	return fmt.Sprintf("%s no longer fires for %s", a.Rule.Name, Subject(a))
}

// reads is the condition with the figures behind it.
func reads(vs []incident.Value, condition string) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = v.Signal + " = " + v.Text
	}
	if len(parts) == 0 {
		return condition
	}
	return fmt.Sprintf("%s (%s)", condition, strings.Join(parts, ", "))
}

// Topic is what a decision is about: one with the topic of the one before says nothing new. When the same guard comes
// to hold for longer than for a while, that is news.
func Topic(d healing.Decision) string {
	key := string(d.Guard) + d.Remedy // after the hand-over the same guard holds, which is no news
	if d.Verdict == healing.Wait {
		key += " for now"
	}
	return key
}

// Ending says in one sentence how an incident came to its end.
func Ending(i *incident.Incident, past *healing.Past) string {
	for n := len(i.Attempts) - 1; n >= 0; n-- {
		a := past.ByID(i.Attempts[n])
		if a != nil && a.Outcome == incident.Verified && a.Incident == i.ID { // else it has only ended in this one
			return fmt.Sprintf("%s healed it", a.Remedy)
		}
	}
	switch {
	case i.AckBy != "" && len(i.Alerts) == 0:
		return i.AckBy + " has it"
	case i.WouldHave != "":
		return fmt.Sprintf("it cleared by itself; %s would have run", i.WouldHave)
	case len(i.Attempts) > 0:
		return "it cleared, though no remedy was seen to heal it"
	}
	return "it cleared by itself"
}

// Inconclusive is the sentence for people about an attempt of which nobody can tell whether it helped.
func Inconclusive(a *incident.Attempt) string {
	return fmt.Sprintf("whether %s helped cannot be told: %s", a.Remedy, a.Reason)
}

// ActionFailed is why an attempt whose action failed is ineffective.
func ActionFailed(err string) string { return "the action itself failed: " + err }
