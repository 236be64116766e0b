package chaos

import (
	"fmt"
	"slices"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
	"github.com/salveops/salve/proto/logpb"
)

// Ended reports whether an incident is over.
func Ended(i *adminpb.GetIncidentResponse) bool {
	return i.GetIncident().GetState() == logpb.IncidentState_INCIDENT_STATE_RESOLVED
}

// WithPeople reports whether an incident is in the hands of a person.
func WithPeople(i *adminpb.GetIncidentResponse) bool {
	return i.GetIncident().GetState() == logpb.IncidentState_INCIDENT_STATE_ESCALATED
}

// Unfinished names something that Salve has still to bring to an end, "" if there is nothing: every permit is settled but
// those of which nobody can tell how they ended, and each incident is over or with people.
func Unfinished(permits []*logpb.Permit, incidents []*adminpb.GetIncidentResponse) string {
	for _, p := range permits {
		if !p.GetUnknown() {
			return fmt.Sprintf("permit %d for %s on %s is open", p.GetToken().GetN(), p.GetRemedy(), p.GetHost())
		}
	}
	for _, i := range incidents {
		if !Ended(i) && !WithPeople(i) {
			return IncidentText(i)
		}
	}
	return ""
}

// IncidentText names an incident and says how it stands.
func IncidentText(i *adminpb.GetIncidentResponse) string {
	return fmt.Sprintf("incident %.8s (%s) is %v", i.GetIncident().GetId(), i.GetIncident().GetTitle(),
		i.GetIncident().GetState())
}

// Lost are the alerts that stand in the hosts' journals, by host, and in no incident of the controllers.
func Lost(journals map[string][]*localpb.Incident, incidents []*adminpb.GetIncidentResponse) []string {
	has := map[string]bool{}
	for _, i := range incidents {
		for _, a := range i.GetAlerts() {
			has[alertName(a.GetHostName(), a.GetLocal(), a.GetRule(), a.GetInstance())] = true
		}
	}
	var out []string
	for host, journal := range journals {
		for _, i := range journal {
			for _, a := range i.GetAlerts() {
				if name := alertName(host, i.GetSummary().GetId(), a.GetRule(), a.GetInstance()); !has[name] {
					out = append(out, name)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func alertName(host, local, rule, instance string) string {
	return fmt.Sprintf("%s of %s on %s in %.8s", rule, instance, host, local)
}

// Twice says which alerts are in several incidents.
func Twice(incidents []*adminpb.GetIncidentResponse) []string {
	var out []string
	in := map[string]string{}
	for _, i := range incidents {
		id := i.GetIncident().GetId()
		for _, a := range i.GetAlerts() {
			key := fmt.Sprintf("%s/%s/%d", a.GetKey().GetHost(), a.GetKey().GetStream(), a.GetKey().GetN())
			if other := in[key]; other != "" && other != id {
				out = append(out, fmt.Sprintf("alert %s is in the incidents %.8s and %.8s", key, other, id))
			}
			in[key] = id
		}
	}
	return out
}

// Unheard are the incidents that are with people of whom nobody has heard it.
func Unheard(incidents []*adminpb.GetIncidentResponse, pages []rig.Page) []string {
	heard := map[string]bool{}
	for _, page := range pages {
		heard[page.Incident] = heard[page.Incident] || page.Kind == notify.Trigger
	}
	var out []string
	for _, i := range incidents {
		names := append(i.GetAliases(), i.GetIncident().GetId()) // it may have been told before it was merged
		if WithPeople(i) && !slices.ContainsFunc(names, func(name string) bool { return heard[name] }) {
			out = append(out, i.GetIncident().GetId())
		}
	}
	return out
}

// Untold are the threads that somebody was told of and has not heard the end of; wrong is what may not come at all: a
// message that is not to be believed, or one after the end.
func Untold(pages []rig.Page) (untold, wrong []string) {
	open, over := map[string]bool{}, map[string]bool{}
	for _, page := range pages {
		thread := page.Incident
		if page.Dedup != "" {
			thread = page.Dedup
		}
		switch {
		case page.Problem != nil:
			wrong = append(wrong, fmt.Sprintf("a message is not to be believed: %v", page.Problem))
		case page.Kind == notify.Resolve:
			delete(open, thread)
			over[thread] = true
		case over[thread]:
			wrong = append(wrong, fmt.Sprintf("a %s about %s came after its end", page.Kind, thread))
		default:
			open[thread] = true
		}
	}
	for thread := range open {
		untold = append(untold, thread)
	}
	slices.Sort(untold)
	return untold, wrong
}
