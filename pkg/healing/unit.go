package healing

import (
	"fmt"

	"github.com/salveops/salve/pkg/defaults"
)

// free says what a person, a package manager or systemd itself is doing with the unit that a remedy
// must not get in the way of.
func (u *Unit) free(guards []func(*Unit) finding) finding {
	for _, check := range guards {
		if found := check(u); found.objects() {
			return found
		}
	}
	return finding{}
}

var unitGuards = []func(*Unit) finding{(*Unit).held, (*Unit).upgraded, (*Unit).moving, (*Unit).young}

// requestUnitGuards are those that also bind a person, who may well start what he stopped.
var requestUnitGuards = []func(*Unit) finding{(*Unit).exists, (*Unit).upgraded, (*Unit).moving}

func (u *Unit) exists() finding {
	switch u.Load {
	case "masked":
		return finding{HumanWins, Hold, 0, fmt.Sprintf("%s is masked: a person wants it not to run", u.Name)}
	case "not-found":
		return finding{HumanWins, Hold, 0, fmt.Sprintf("%s does not exist: its unit file is gone", u.Name)}
	}
	return finding{}
}

func (u *Unit) held() finding {
	if found := u.exists(); found.objects() {
		return found
	}
	if u.Stopped == "person" && u.Active != "active" {
		return finding{HumanWins, Hold, 0, fmt.Sprintf("%s was stopped by a person and stays stopped", u.Name)}
	}
	return finding{}
}

// upgraded: a package's scripts stop and start its units themselves.
func (u *Unit) upgraded() finding {
	if u.Transaction == "" {
		return finding{}
	}
	left := defaults.TransactionWait - u.Upgrading
	if left > 0 {
		return finding{Transaction, Wait, left, fmt.Sprintf(
			"a package transaction is under way (%s, for %s) and may touch %s; waiting %s at most",
			u.Transaction, span(u.Upgrading), u.Name, span(defaults.TransactionWait))}
	}
	return finding{Transaction, Escalate, 0, fmt.Sprintf(
		"a package transaction (%s) that may touch %s has been under way for %s; limit %s",
		u.Transaction, u.Name, span(u.Upgrading), span(defaults.TransactionWait))}
}

func (u *Unit) moving() finding {
	switch {
	case u.Sub == "auto-restart":
		return finding{Moving, Wait, 0, fmt.Sprintf("systemd itself is about to restart %s", u.Name)}
	case u.Active == "":
		return finding{Moving, Wait, 0, fmt.Sprintf("the state of %s is not known", u.Name)}
	case u.Active != "active" && !u.Dead():
		return finding{Moving, Wait, 0, fmt.Sprintf("%s is %s", u.Name, u.Active)}
	case u.Job:
		return finding{Moving, Wait, 0, fmt.Sprintf("systemd has a job for %s in its queue", u.Name)}
	}
	return finding{}
}

func (u *Unit) young() finding {
	left := u.Startup - u.ActiveFor
	if u.Active != "active" || left <= 0 {
		return finding{}
	}
	return finding{Starting, Wait, left, fmt.Sprintf(
		"%s started %s ago and has %s to come up", u.Name, span(u.ActiveFor), span(u.Startup))}
}

// startLimited reports whether systemd refuses to start the unit until its failures are reset.
func (u *Unit) startLimited() bool { return u.Result == "start-limit-hit" && u.Dead() }
