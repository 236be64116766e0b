package cache

import (
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
)

// counts are what a server of keys counts itself.
type counts struct {
	Life  string `json:"life"`  // of the server, by a name that no other has
	Keys  int64  `json:"keys"`  // that could be cleared
	Bytes int64  `json:"bytes"` // that the server holds, with what could not
	// Since it was started:
	Hits     int64 `json:"hits"`
	Misses   int64 `json:"misses"`
	Commands int64 `json:"commands"`
	Removals int64 `json:"removals"` // by commands that remove keys as this kind does
}

// mayGo refuses when there is nothing, and what is too much at once.
func (c counts) mayGo(s *kind.Step) error {
	a := argsOf(s.Request)
	switch {
	case c.Keys == 0:
		return kind.Needless("cache %s has no keys", s.Target)
	case a.AtOnce && c.Keys > int64(a.Most):
		return kind.Refuse("cache %s has %d keys, more than the %d that may go at once", s.Target, c.Keys, a.Most)
	}
	return nil
}

func (c counts) hitRate() string {
	all := c.Hits + c.Misses
	if all == 0 {
		return "nobody has looked anything up"
	}
	return fmt.Sprintf("%.0f %% of %d look-ups were hits", 100*float64(c.Hits)/float64(all), all)
}

// became tells what became of an attempt that began at c.
func (c counts) became(now counts) (incident.Phase, string) {
	switch removals := now.Removals - c.Removals; {
	case now.Life != c.Life || now.Commands < c.Commands || removals < 0:
		return incident.Unknown, "the server was started anew since, or its counters were"
	case removals == 0:
		return incident.NotDone, "no key was removed from the server since"
	case now.Keys < c.Keys:
		return incident.Acted, fmt.Sprintf("of %d keys %d are left; whether all went that were to go is for the verification to say",
			c.Keys, now.Keys)
	}
	return incident.Unknown, "keys were removed since, by this attempt or by others, and there are as many as before"
}
