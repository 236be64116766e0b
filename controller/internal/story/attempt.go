package story

import "fmt"

// attempts shows each run of a remedy with its times and its verdict.
func (t teller) attempts() {
	if len(t.i.Attempts) == 0 {
		return
	}
	t.printf("\nAttempts\n")
	for n, a := range t.i.Attempts {
		t.printf("  %d. %s\n", n+1, t.deed(a))
		line := fmt.Sprintf("begun +%s", span(a.Offset))
		if a.By != "" {
			line += " by " + a.By
		}
		if a.Act != nil {
			line += fmt.Sprintf(", acted for %s ms", milliseconds(*a.Act))
		}
		if a.Verify != nil {
			line += fmt.Sprintf(", judged %s ms later", milliseconds(*a.Verify))
		}
		t.printf("     %s, attempt %s\n", line, a.ID)
		t.note("before", a.Before)
		t.note("after", a.After)
	}
}

func (t teller) note(name, text string) {
	if text != "" && text != "null" {
		t.printf("     %-6s  %s\n", name, oneLine(text))
	}
}

// deed is what deed says, and in a fleet where.
func (t teller) deed(a *Attempt) string {
	if t.i.Fleet && a.Host != "" {
		return "on " + a.Host + ": " + deed(a)
	}
	return deed(a)
}

// deed is an attempt in one sentence: what was done, and what came of it.
func deed(a *Attempt) string {
	s := verb(a.Kind) + " " + a.Target
	if a.Kind == "" && a.Target == "" { // nothing but its beginning is known
		s = "began"
		if a.Plan != "" {
			s += " to " + a.Plan
		}
	}
	if a.Remedy != "" {
		s += " (" + a.Remedy + ")"
	}
	switch a.Phase {
	case "refused":
		return join("refused to do: "+s, a.Reason)
	case "not_done":
		return join("did not begin: "+s, a.Reason)
	case "unknown":
		return join("UNKNOWN whether it "+s, a.Reason)
	}
	switch {
	case a.Error != "":
		s += "; it failed: " + a.Error
	case a.Outcome != "":
		s = join(s+"; "+a.Outcome, a.Reason)
	default:
		s += "; no verdict yet"
	}
	if a.Undone {
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
	case "clear_cache":
		return "cleared cache"
	}
	return "did " + kind + " on"
}
