//go:build lab

package scenario

import "testing"

// TestInstall: from bare hosts to a fleet, by the packages and the real enrolment; a shop that crashes is healed on
// every host.
func TestInstall(t *testing.T) {
	f := open(t)
	for _, h := range f.web {
		f.crash(h)
		f.eventually(upTime, "the shop on "+h.Name+" serves again", f.unwell)
		f.eventually(upTime, "Salve is at rest", f.restless)
	}
}
