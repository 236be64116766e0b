package story

import "strings"

// next says what a person should do now.
func (t teller) next() {
	t.printf("\nWhat next\n")
	for _, s := range t.advice() {
		t.printf("  - %s\n", s)
	}
}

func (t teller) advice() []string {
	todo := t.doubts()
	id := t.i.ID
	id = id[:min(12, len(id))]
	switch t.i.State {
	case "resolved":
		return append(todo, t.afterwards()...)
	case "escalated":
		todo = append(todo, "Say that you have it: "+t.i.Tool+" ack "+id)
		todo = append(todo, t.told()...)
		todo = append(todo, t.look(id)...)
	case "acknowledged":
		todo = append(todo, "Hand it back when you want remedies to go on: "+t.i.Tool+" release "+id)
		todo = append(todo, t.look(id)...)
	default:
		todo = append(todo, "Follow it: "+t.i.Tool+" watch")
		todo = append(todo, t.observed()...)
	}
	return todo
}

// doubts are what only a person can look at.
func (t teller) doubts() []string {
	var todo []string
	for _, a := range t.i.Attempts {
		if a.Phase == "unknown" {
			target := a.Target
			if a.Host != "" {
				target += " on " + a.Host
			}
			todo = append(todo, "Look at "+target+" yourself: nobody knows whether "+a.Remedy+
				" did its work, so it is not repeated.")
		}
	}
	for _, p := range t.i.Permits {
		if p.Unknown || p.Overdue {
			todo = append(todo, "Look at "+p.Host+". Once you are sure that nothing of "+p.Remedy+
				" runs there: "+t.i.Tool+" permits settle "+p.Token+" --force --reason …")
		}
	}
	if t.i.Common && t.i.State != "resolved" {
		todo = append(todo, "Look for what these hosts have in common: no remedy runs meanwhile. "+t.i.Tool+
			" breaker lists what is stopped, and can let one host try, or all go on.")
	}
	return todo
}

// afterwards is for an incident that is over.
func (t teller) afterwards() []string {
	todo := t.observed()
	switch last := t.lastAttempt(); {
	case last == nil && len(todo) == 0:
		todo = append(todo, "Nothing has to be done now: it ended without a remedy.")
	case last == nil:
	case last.Outcome == "verified":
		todo = append(todo, "Nothing has to be done now. A remedy ends the trouble and not its cause: look at the evidence.")
	default:
		todo = append(todo, "No remedy was proved to help, so it may come back: look at the evidence.")
	}
	return todo
}

// observed is for autonomy observe: the way to let Salve act.
func (t teller) observed() []string {
	r := t.i.WouldHave
	if r == "" {
		return nil
	}
	return []string{
		`To let Salve run ` + r + ` next time: autonomy = "full". To run it now: salve agent run ` + r + ` --dry-run`,
	}
}

func (t teller) told() []string {
	e := t.i.Escalation
	var todo []string
	if len(e.Told) > 0 {
		todo = append(todo, "Told so far: "+strings.Join(e.Told, ", ")+".")
	} else {
		todo = append(todo, "Nobody was reached yet.")
	}
	if !e.Due.IsZero() {
		todo = append(todo, "It climbs on at "+t.moment(e.Due)+" unless somebody has it.")
	}
	return todo
}

func (t teller) look(id string) []string {
	if len(t.i.Evidence) == 0 || t.o.Evidence {
		return nil
	}
	return []string{"Read the evidence: " + t.i.Tool + " explain " + id + " --evidence"}
}

func (t teller) lastAttempt() *Attempt {
	if len(t.i.Attempts) == 0 {
		return nil
	}
	return t.i.Attempts[len(t.i.Attempts)-1]
}
