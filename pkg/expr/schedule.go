package expr

import (
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/signal"
)

// between compiles between(from, to, zone): the time of day in the zone is at or after from and
// before to. A span whose end is not after its start goes over midnight. Times are those that a
// clock on the wall shows, so when clocks are put forward a span may be shorter or not occur, and
// when they are put back it may be longer or occur twice. Without a zone it is the host's.
func (c *compiler) between(e *hclsyntax.FunctionCallExpr) *node {
	from, okFrom := c.clock(e.Args[0])
	to, okTo := c.clock(e.Args[1])
	zone, okZone := c.zone(e.Args[2:])
	if !okFrom || !okTo || !okZone {
		return nil
	}
	if from == to {
		c.fail(e.Range(), "Empty span", "The span begins and ends at the same time.")
		return nil
	}
	c.needClear("between")
	return &node{src: e, dim: signal.Bool, cond: func(*binding) test {
		return func(f *frame) Truth {
			hour, minute, _ := at(f, zone).Clock()
			now := 60*hour + minute
			if from < to {
				return Of(from <= now && now < to)
			}
			return Of(from <= now || now < to)
		}
	}}
}

// weekday compiles weekday(zone): Monday to Friday.
func (c *compiler) weekday(e *hclsyntax.FunctionCallExpr) *node {
	zone, ok := c.zone(e.Args)
	if !ok {
		return nil
	}
	c.needClear("weekday")
	return &node{src: e, dim: signal.Bool, cond: func(*binding) test {
		return func(f *frame) Truth {
			day := at(f, zone).Weekday()
			return Of(day != time.Saturday && day != time.Sunday)
		}
	}}
}

// at is the wall clock's time in a zone; nil is the zone that the clock itself uses.
func at(f *frame, zone *time.Location) time.Time {
	if zone == nil {
		return f.now.Wall
	}
	return f.now.Wall.In(zone)
}

// clock reads a time of day as minutes since midnight; "24:00" is the end of the day.
func (c *compiler) clock(e hclsyntax.Expression) (int, bool) {
	s, ok := c.literalText(e)
	if !ok {
		return 0, false
	}
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		c.fail(e.Range(), "Not a time of day", `A time of day is written "09:00", from "00:00" to "24:00".`)
		return 0, false
	}
	return 60*t.Hour() + t.Minute(), true
}

// zone reads an optional time zone.
func (c *compiler) zone(args []hclsyntax.Expression) (*time.Location, bool) {
	if len(args) == 0 {
		return nil, true
	}
	s, ok := c.literalText(args[0])
	if !ok {
		return nil, false
	}
	zone, err := time.LoadLocation(s)
	if err != nil || s == "" || s == "Local" {
		c.fail(args[0].Range(), "Unknown time zone",
			`There is no time zone %q on this host; write one such as "Europe/Berlin".`, s)
		return nil, false
	}
	return zone, true
}

func (c *compiler) literalText(e hclsyntax.Expression) (string, bool) {
	if t, ok := e.(*hclsyntax.TemplateExpr); ok {
		if s, ok := plain(t); ok {
			return s, true
		}
	}
	c.fail(e.Range(), "Wrong arguments", "A text in quotes is needed here, not %s.", short(e))
	return "", false
}
