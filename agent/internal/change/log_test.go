package change

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/change/changetest"
	"github.com/salveops/salve/pkg/clock"
)

// hand is a clock that a test moves.
type hand struct {
	now  clock.Instant
	boot string
}

func (h *hand) Now() clock.Instant { return h.now }
func (h *hand) BootID() string     { return h.boot }

func newHand() *hand {
	return &hand{boot: "one", now: clock.Instant{Boot: time.Hour, Wall: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)}}
}

func openLog(t *testing.T, d *changetest.Disk, c clock.Clock, news func(Change)) *Log {
	t.Helper()
	l, err := NewLog(d, c, hclog.NewNullLogger(), news)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRecord(t *testing.T) {
	var told []Change
	d, c := changetest.NewDisk(), newHand()
	l := openLog(t, d, c, func(x Change) { told = append(told, x) })
	x := l.Record("deployment", "shop", strings.Repeat("ä", maxText), "ann")
	if x.ID != "change-1" || len(x.Text) > maxText || !strings.HasSuffix(x.Text, "ä") {
		t.Errorf("recorded as %+v", x)
	}
	if len(told) != 1 || told[0].ID != x.ID {
		t.Errorf("told of %v", told)
	}
	if got := openLog(t, d, c, nil).All(); len(got) != 1 || got[0].Text != x.Text || got[0].At.Age(clock.Now(c)) != 0 {
		t.Errorf("after a restart there is %+v", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	d, c := changetest.NewDisk(), newHand()
	l := openLog(t, d, c, func(Change) {})
	for i := range most + 10 {
		l.Record("package", "", fmt.Sprint(i), "")
	}
	again := openLog(t, d, c, func(Change) {})
	for _, all := range [][]Change{l.All(), again.All()} {
		if len(all) != most || all[0].Text != "10" || all[most-1].Text != fmt.Sprint(most+9) {
			t.Errorf("%d are kept, from %q to %q", len(all), all[0].Text, all[len(all)-1].Text)
		}
	}
	if x := again.Record("package", "", "next", ""); x.N != most+11 {
		t.Errorf("the next has number %d", x.N)
	}
}

func TestLearnOnce(t *testing.T) {
	l := openLog(t, changetest.NewDisk(), newHand(), nil) // which would fail if it were told
	first, fresh := l.Learn(Change{Kind: "deployment", Origin: "g/change-3", Text: "release 7"})
	_, again := l.Learn(Change{Kind: "deployment", Origin: "g/change-3", Text: "release 7"})
	_, other := l.Learn(Change{Kind: "deployment", Origin: "h/change-3", Text: "release 8"})
	if !fresh || again || !other || len(l.All()) != 2 || first.N != 1 {
		t.Errorf("learned %v %v %v: %+v", fresh, again, other, l.All())
	}
}

// TestToldOfWhatIs: what was told counts as told only while nothing new is said of it.
func TestToldOfWhatIs(t *testing.T) {
	l := openLog(t, changetest.NewDisk(), newHand(), func(Change) {})
	first := l.put(Change{Kind: "binary", Text: "still runs"})
	second := l.put(Change{N: first.N, Kind: "binary", Text: "runs the new one"})
	if l.Told(first); second.ID != first.ID || l.All()[0].Told {
		t.Errorf("after the old words: %+v", l.All())
	}
	if l.Told(second); !l.All()[0].Told || len(l.All()) != 1 {
		t.Errorf("after the new words: %+v", l.All())
	}
}

func TestNear(t *testing.T) {
	c := newHand()
	at := func(ago time.Duration) clock.Stamp { return clock.At(c, c.Now().Add(-ago)) }
	all := []Change{
		{Text: "old", At: at(2 * time.Hour)},
		{Text: "old and pending", Service: "shop", At: at(3 * time.Hour), Pending: true},
		{Text: "host", At: at(20 * time.Minute)},
		{Text: "shop", Service: "shop", At: at(10 * time.Minute)},
		{Text: "other", Service: "other", At: at(time.Minute)},
	}
	texts := func(service string) string {
		var out []string
		for _, x := range Near(all, service, clock.Now(c), time.Hour) {
			out = append(out, x.Text)
		}
		return strings.Join(out, ", ")
	}
	for _, jump := range []time.Duration{0, 48 * time.Hour, -48 * time.Hour} {
		c.now.Wall = c.now.Wall.Add(jump) // which moves nothing within one boot
		if got := texts("shop"); got != "shop, host, old and pending" {
			t.Errorf("jump %v: near the service are %s", jump, got)
		}
		if got := texts(""); got != "host" {
			t.Errorf("jump %v: near the host are %s", jump, got)
		}
	}
}
