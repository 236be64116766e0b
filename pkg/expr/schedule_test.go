package expr

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	const night = `between("22:00", "06:00", "Europe/Berlin")`
	for _, c := range []struct {
		src, utc string
		want     Truth
	}{
		{`between("09:00", "18:00")`, "2026-03-02T09:00:00Z", True},
		{`between("09:00", "18:00")`, "2026-03-02T08:59:59Z", False},
		{`between("09:00", "18:00")`, "2026-03-02T17:59:59Z", True},
		{`between("09:00", "18:00")`, "2026-03-02T18:00:00Z", False},
		{`between("09:00", "18:00", "Europe/Berlin")`, "2026-03-02T08:00:00Z", True},
		{`between("09:00", "18:00", "Europe/Berlin")`, "2026-07-02T07:00:00Z", True}, // summer: two hours ahead
		{`between("09:00", "18:00", "Asia/Kolkata")`, "2026-03-02T03:30:00Z", True},  // half an hour off
		{`between("18:00", "24:00")`, "2026-03-02T23:59:59Z", True},
		{`between("18:00", "24:00")`, "2026-03-03T00:00:00Z", False},
		{`between("00:00", "24:00")`, "2026-03-03T00:00:00Z", True},
		{`between("24:00", "06:00")`, "2026-03-03T00:00:00Z", True},
		{night, "2026-03-02T21:00:00Z", True},
		{night, "2026-03-02T23:30:00Z", True},
		{night, "2026-03-03T04:59:59Z", True},
		{night, "2026-03-03T05:00:00Z", False},
		// On 29 March 2026 Berlin's clocks go from 2:00 to 3:00: half past two does not exist.
		{`between("02:15", "02:45", "Europe/Berlin")`, "2026-03-29T00:59:59Z", False},
		{`between("02:15", "02:45", "Europe/Berlin")`, "2026-03-29T01:30:00Z", False},
		{`between("02:15", "03:15", "Europe/Berlin")`, "2026-03-29T01:10:00Z", True},
		// On 25 October they go from 3:00 back to 2:00: half past two comes twice.
		{`between("02:15", "02:45", "Europe/Berlin")`, "2026-10-25T00:30:00Z", True},
		{`between("02:15", "02:45", "Europe/Berlin")`, "2026-10-25T01:00:00Z", False},
		{`between("02:15", "02:45", "Europe/Berlin")`, "2026-10-25T01:30:00Z", True},
		{`weekday()`, "2026-03-06T23:59:59Z", True},
		{`weekday()`, "2026-03-07T00:00:00Z", False},
		{`weekday()`, "2026-03-08T23:59:59Z", False},
		{`weekday("Pacific/Auckland")`, "2026-03-06T12:00:00Z", False}, // Saturday there already
	} {
		at, err := time.Parse(time.RFC3339, c.utc)
		if err != nil {
			t.Fatal(err)
		}
		got := compile(t, c.src, scope()).Bind(newHost(nil)).Eval(instant{Wall: at})
		if got != c.want {
			t.Errorf("%s at %s is %v, want %v", c.src, c.utc, got, c.want)
		}
	}
}
