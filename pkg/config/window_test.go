package config

import (
	"testing"
	"time"

	_ "time/tzdata" // the test must not depend on the zones of the machine

	"pgregory.net/rapid"
)

func window(t *testing.T, from, to, zone string, days ...time.Weekday) *Window {
	t.Helper()
	z, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return &Window{From: from, To: to, Zone: z, Days: days}
}

func TestWindowActive(t *testing.T) {
	sat, sun, mon := time.Saturday, time.Sunday, time.Monday
	night := window(t, "22:00", "06:00", "Europe/Berlin", sat)
	office := window(t, "09:00", "17:00", "Europe/Berlin", mon)
	always := window(t, "03:00", "03:00", "Europe/Berlin")
	// Berlin: on Sunday 2026-03-29 clocks go from 02:00 to 03:00, on 2026-10-25 from 03:00 back to 02:00.
	gap := window(t, "02:30", "04:00", "Europe/Berlin", sun)
	toGap := window(t, "01:00", "02:30", "Europe/Berlin", sun)
	twice := window(t, "02:30", "02:45", "Europe/Berlin", sun)
	over := window(t, "22:00", "02:30", "Europe/Berlin", sat)
	for _, c := range []struct {
		name string
		w    *Window
		at   string
		want bool
	}{
		{"before", office, "2026-03-02T08:59:59+01:00", false},
		{"at the beginning", office, "2026-03-02T09:00:00+01:00", true},
		{"inside, told in another zone", office, "2026-03-02T10:00:00Z", true},
		{"at the end", office, "2026-03-02T17:00:00+01:00", false},
		{"another day", office, "2026-03-03T10:00:00+01:00", false},

		{"evening of its day", night, "2026-03-07T22:00:00+01:00", true},
		{"morning after", night, "2026-03-08T05:59:59+01:00", true},
		{"morning after, at the end", night, "2026-03-08T06:00:00+01:00", false},
		{"morning of its day", night, "2026-03-07T05:00:00+01:00", false},
		{"evening after", night, "2026-03-08T23:00:00+01:00", false},
		{"a day that is already Sunday in UTC", night, "2026-03-07T23:30:00Z", true},

		{"whole days", always, "2026-03-07T02:59:59+01:00", true},
		{"whole days, at the seam", always, "2026-03-07T03:00:00+01:00", true},

		{"begins in the gap: before", gap, "2026-03-29T01:59:59+01:00", false},
		{"begins in the gap: at the jump", gap, "2026-03-29T03:00:00+02:00", true},
		{"begins in the gap: end", gap, "2026-03-29T04:00:00+02:00", false},
		{"ends in the gap: before", toGap, "2026-03-29T01:59:59+01:00", true},
		{"ends in the gap: at the jump", toGap, "2026-03-29T03:00:00+02:00", false},

		{"twice: before", twice, "2026-10-25T02:29:59+02:00", false},
		{"twice: first", twice, "2026-10-25T02:30:00+02:00", true},
		{"twice: between", twice, "2026-10-25T02:10:00+01:00", true},
		{"twice: last", twice, "2026-10-25T02:44:59+01:00", true},
		{"twice: after", twice, "2026-10-25T02:45:00+01:00", false},
		{"ends twice: between", over, "2026-10-25T02:45:00+02:00", true},
		{"ends twice: after", over, "2026-10-25T02:30:00+01:00", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.w.Active(at); got != c.want {
			t.Errorf("%s: %s–%s at %s: %v", c.name, c.w.From, c.w.To, c.at, got)
		}
	}
}

func TestWindowLeft(t *testing.T) {
	w := window(t, "22:00", "06:00", "Europe/Berlin")
	at := time.Date(2026, 3, 28, 23, 0, 0, 0, w.Zone) // the night that is an hour short
	if left, open := w.Left(at); !open || left != 6*time.Hour {
		t.Errorf("left %s, %v; want 6h", left, open)
	}
	if left, open := w.Left(at.Add(6 * time.Hour)); open || left != 0 {
		t.Errorf("left %s, %v after the end", left, open)
	}
}

// Wherever clocks change: a window is open exactly until what it says is left, and never longer than
// a day and the largest step of a clock.
func TestWindowProperties(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
		"Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo"}
	times := []string{"00:00", "00:30", "01:59", "02:00", "02:30", "03:00", "12:00", "23:59"}
	rapid.Check(t, func(rt *rapid.T) {
		w := window(t, rapid.SampledFrom(times).Draw(rt, "from"), rapid.SampledFrom(times).Draw(rt, "to"),
			rapid.SampledFrom(zones).Draw(rt, "zone"))
		at := time.Unix(rapid.Int64Range(1_000_000_000, 1_900_000_000).Draw(rt, "at"), 0)
		left, open := w.Left(at)
		if !open {
			return
		}
		if left <= 0 || left > 49*time.Hour {
			rt.Fatalf("%s–%s %s: %s left at %s", w.From, w.To, w.Zone, left, at)
		}
		if last := at.Add(left - time.Nanosecond); !w.Active(last) {
			rt.Fatalf("%s–%s %s: closed at %s although %s were left at %s", w.From, w.To, w.Zone, last, left, at)
		}
	})
}
