package local

import (
	"testing"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// What stays for good is said with its outcome, once.
func TestWhyItStays(t *testing.T) {
	for want, a := range map[string]incident.Attempt{
		"it cleared":                            {Phase: incident.Judged, Reason: "it cleared"},
		"it cleared; it stays: changed by hand": {Phase: incident.Judged, Reason: "it cleared", Stays: "changed by hand"},
		"it stays: changed by hand":             {Phase: incident.Acted, Stays: "changed by hand"},
		"it did not help; it could not be taken back: changed by hand": {Phase: incident.Unknown,
			Reason: "it did not help; it could not be taken back: changed by hand", Stays: "changed by hand"},
	} {
		if got := attemptPB(a, clock.Stamp{}).GetReason(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
