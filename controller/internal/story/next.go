package story

import (
	"strings"

	"github.com/salveops/salve/proto/localpb"
)

// next says what a person should do now.
func (t teller) next() {
	t.printf("\nWhat next\n")
	for _, s := range t.advice() {
		t.printf("  - %s\n", s)
	}
}

func (t teller) advice() []string {
	var todo []string
	for _, a := range t.i.GetAttempts() {
		if a.GetPhase() == "unknown" {
			todo = append(todo, "Look at "+a.GetTarget()+" yourself: nobody knows whether "+a.GetRemedy()+
				" did its work, so it is not repeated.")
		}
	}
	id := t.i.GetSummary().GetId()
	id = id[:min(12, len(id))]
	switch t.i.GetSummary().GetState() {
	case "resolved":
		return append(todo, t.afterwards()...)
	case "escalated":
		todo = append(todo, "Say that you have it: salve agent ack "+id)
		todo = append(todo, t.told()...)
		todo = append(todo, t.look(id)...)
	case "acknowledged":
		todo = append(todo, "Hand it back when you want remedies to go on: salve agent release "+id)
		todo = append(todo, t.look(id)...)
	default:
		todo = append(todo, "Follow it: salve agent watch")
		todo = append(todo, t.observed()...)
	}
	return todo
}

// afterwards is for an incident that is over.
func (t teller) afterwards() []string {
	todo := t.observed()
	switch last := t.lastAttempt(); {
	case last == nil && len(todo) == 0:
		todo = append(todo, "Nothing has to be done now: it ended without a remedy.")
	case last.GetOutcome() == "verified":
		todo = append(todo, "Nothing has to be done now. A remedy ends the trouble and not its cause: look at the evidence.")
	case last != nil:
		todo = append(todo, "No remedy was proved to help, so it may come back: look at the evidence.")
	}
	return todo
}

// observed is for autonomy observe: the way to let Salve act.
func (t teller) observed() []string {
	r := t.i.GetWouldHave()
	if r == "" {
		return nil
	}
	return []string{
		`To let Salve run ` + r + ` next time: autonomy = "full". To run it now: salve agent run ` + r + ` --dry-run`,
	}
}

func (t teller) told() []string {
	e := t.i.GetEscalation()
	var todo []string
	if len(e.GetTold()) > 0 {
		todo = append(todo, "Told so far: "+strings.Join(e.GetTold(), ", ")+".")
	} else {
		todo = append(todo, "Nobody was reached yet.")
	}
	if e.GetDue() != nil {
		todo = append(todo, "It climbs on at "+t.moment(e.GetDue())+" unless somebody has it.")
	}
	return todo
}

func (t teller) look(id string) []string {
	if len(t.i.GetEvidence()) == 0 || t.o.Evidence {
		return nil
	}
	return []string{"Read the evidence: salve agent explain " + id + " --evidence"}
}

func (t teller) lastAttempt() *localpb.Attempt {
	all := t.i.GetAttempts()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}
