package story

import (
	"fmt"

	"github.com/salveops/salve/proto/localpb"
)

// attempts shows each run of a remedy with its times and its verdict.
func (t teller) attempts() {
	if len(t.i.GetAttempts()) == 0 {
		return
	}
	t.printf("\nAttempts\n")
	for n, a := range t.i.GetAttempts() {
		t.printf("  %d. %s\n", n+1, deed(a))
		line := fmt.Sprintf("begun +%s by %s", Span(a.GetOffset()), a.GetBy())
		if a.GetAct() != nil {
			line += fmt.Sprintf(", acted for %s ms", milliseconds(a.GetAct()))
		}
		if a.GetVerify() != nil {
			line += fmt.Sprintf(", judged %s ms later", milliseconds(a.GetVerify()))
		}
		t.printf("     %s, attempt %s\n", line, a.GetId())
		t.note("before", a.GetBefore())
		t.note("after", a.GetAfter())
	}
}

func (t teller) note(name, text string) {
	if text != "" && text != "null" {
		t.printf("     %-6s  %s\n", name, oneLine(text))
	}
}

// deed is an attempt in one sentence: what was done, and what came of it.
func deed(a *localpb.Attempt) string {
	s := verb(a.GetKind()) + " " + a.GetTarget() + " (" + a.GetRemedy() + ")"
	switch a.GetPhase() {
	case "refused":
		return join("refused to do: "+s, a.GetReason())
	case "not_done":
		return join("did not begin: "+s, a.GetReason())
	case "unknown":
		return join("UNKNOWN whether it "+s, a.GetReason())
	}
	switch {
	case a.GetError() != "":
		s += "; it failed: " + a.GetError()
	case a.GetOutcome() != "":
		s = join(s+"; "+a.GetOutcome(), a.GetReason())
	default:
		s += "; no verdict yet"
	}
	if a.GetUndone() {
		s += "; taken back"
	}
	return s
}

// verb is what an action of that kind did to its target.
func verb(kind string) string {
	switch kind {
	case "start":
		return "started"
	case "restart":
		return "restarted"
	case "reload":
		return "reloaded"
	case "stop":
		return "stopped"
	case "kill":
		return "signalled"
	case "set_property":
		return "changed limits of"
	case "exec":
		return "ran"
	case "reset_pool":
		return "reset pool"
	}
	return "did " + kind + " on"
}
