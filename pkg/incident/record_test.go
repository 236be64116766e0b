package incident

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

// Whoever writes over whom: what is undone stays so, what is being undone is so until that is over, an outcome stands.
func TestKeep(t *testing.T) {
	at := clock.Stamp{Boot: time.Hour}
	judged := Attempt{Phase: Judged, Outcome: Worse, Reason: "p99 up", Judged: at}
	with := func(p Phase) Attempt { a := judged; a.Phase = p; return a }
	undone := with(Undone)
	undone.Undone = at
	stays := with(Judged)
	stays.Stays = "changed by hand"
	for name, c := range map[string]struct{ last, a, want Attempt }{
		"judge over undo":              {Attempt{Phase: Undoing}, judged, with(Undoing)},
		"judge over its end":           {Attempt{Phase: Undone, Undone: at}, judged, undone},
		"judge over one that stays":    {Attempt{Phase: Acted, Stays: "changed by hand"}, judged, stays},
		"end of undo over judge":       {with(Undoing), Attempt{Phase: Undone, Undone: at}, undone},
		"undo over judge":              {judged, Attempt{Phase: Undoing}, with(Undoing)},
		"it stays, over judge":         {with(Undoing), Attempt{Phase: Acted, Stays: "changed by hand"}, stays},
		"given up over undo":           {with(Undoing), with(Unknown), with(Unknown)},
		"given up over its end":        {undone, with(Unknown), undone},
		"undone after it was given up": {with(Unknown), Attempt{Phase: Undone, Undone: at}, undone},
		"result over intent":           {Attempt{Phase: Intended}, Attempt{Phase: Acted}, Attempt{Phase: Acted}},
	} {
		t.Run(name, func(t *testing.T) {
			c.a.Keep(&c.last)
			got, want := c.a, c.want
			if got.Phase != want.Phase || got.Outcome != want.Outcome || got.Reason != want.Reason || got.Judged != want.Judged ||
				got.Undone != want.Undone || got.Stays != want.Stays {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
