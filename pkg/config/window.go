package config

import (
	"fmt"
	"slices"
	"time"
)

// weekdays are the words for days, from Sunday, as time.Weekday counts.
func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func (l *loader) decodeWindow(b *block) {
	w := &Window{
		Name: b.name("window", checkName), Range: b.header, Reason: b.text("reason"),
		From: b.checked("from", checkTimeOfDay), To: b.checked("to", checkTimeOfDay),
		Services: plain(b.globs("services", anyGlob)), Zone: time.Local,
	}
	if b.has("services") && len(w.Services) == 0 {
		b.fail("services", "No services", "An empty list is no service; leave services out for all.")
	}
	days := b.texts("days")
	if b.has("days") && len(days) == 0 {
		b.fail("days", "No days", "An empty list is no day; leave days out for every day.")
	}
	for _, d := range days {
		n := slices.Index(weekdays(), d.text)
		if n < 0 {
			l.fail(d.at, "Unknown word", "There is no day %q.%s", d.text, oneOf(d.text, weekdays()))
			continue
		}
		w.Days = append(w.Days, time.Weekday(n))
	}
	if name := b.text("zone"); name != "" {
		zone, err := time.LoadLocation(name)
		if err == nil && l.program == "controller" && zone == time.Local {
			b.fail("zone", "Unknown time zone", "Nodes and hosts may stand in several time zones; name one, as in "+
				"\"Europe/Berlin\".")
		} else if err != nil {
			b.fail("zone", "Unknown time zone", "%q is no time zone that this host knows; zones are named as in "+
				"\"Europe/Berlin\", and minimal systems need the package tzdata.", name)
		} else {
			w.Zone = zone
		}
	}
	l.people.windows = append(l.people.windows, w)
}

func checkTimeOfDay(s string) string {
	if _, err := time.Parse("15:04", s); err != nil || len(s) != len("15:04") {
		return fmt.Sprintf("%q is no time of day from \"00:00\" to \"23:59\"", s)
	}
	return ""
}

// Active reports whether the window is open at the wall-clock time.
func (w *Window) Active(wall time.Time) bool {
	_, open := w.Left(wall)
	return open
}

// Left is how long the window stays open from the wall-clock time on, and whether it is open at all.
//
// A window belongs to the day on which it begins; To not after From means that it ends on the next
// day, and From equal to To is 24 hours by the wall clock. Where clocks are set back a time occurs
// twice: the window begins at the first and ends at the last. Where they are set forward a time may
// be missing: the jump stands for it. So a window is rather longer than what was written, never split.
func (w *Window) Left(wall time.Time) (time.Duration, bool) {
	year, month, date := wall.In(w.Zone).Date()
	for ago := range 2 {
		day := time.Date(year, month, date-ago, 0, 0, 0, 0, time.UTC) // stands for the date alone
		if len(w.Days) > 0 && !slices.Contains(w.Days, day.Weekday()) {
			continue
		}
		begin, end := w.edges(day)
		if !wall.Before(begin) && wall.Before(end) {
			return end.Sub(wall), true
		}
	}
	return 0, false
}

// edges are the moments at which the window that belongs to the date begins and ends.
func (w *Window) edges(day time.Time) (begin, end time.Time) {
	until := day
	if w.To <= w.From { // both are "HH:MM", so their order is that of the letters
		until = day.AddDate(0, 0, 1)
	}
	begin, _ = moments(day, w.From, w.Zone)
	_, end = moments(until, w.To, w.Zone)
	return begin, end
}

// moments are the first and the last moment of the date at which clocks in the zone show hhmm.
func moments(day time.Time, hhmm string, zone *time.Location) (first, last time.Time) {
	clock, err := time.Parse("15:04", hhmm)
	if err != nil {
		return day, day // checked when loaded
	}
	shown := day.Add(time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute)
	before, after := reading(shown, -24*time.Hour, zone), reading(shown, 24*time.Hour, zone)
	first, last = before, after
	if last.Before(first) {
		first, last = last, first
	}
	shows := func(t time.Time) bool { return t.Hour() == clock.Hour() && t.Minute() == clock.Minute() }
	switch {
	case shows(first) && shows(last):
		return first, last
	case shows(first):
		return first, first
	case shows(last):
		return last, last
	}
	jump, _ := last.ZoneBounds() // the clocks jump over hhmm, and last is after the jump
	return jump, jump
}

// reading is the moment that a clock means which shows the given time and goes by the zone's offset
// of so long before or after.
func reading(shown time.Time, around time.Duration, zone *time.Location) time.Time {
	_, offset := shown.Add(around).In(zone).Zone()
	return shown.Add(-time.Duration(offset) * time.Second).In(zone)
}
