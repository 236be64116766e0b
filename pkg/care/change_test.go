package care

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// TestChanges: a service's signals count its own changes and those of the host, the host's its own alone. What becomes
// known late makes nothing older.
func TestChanges(t *testing.T) {
	st := series.New()
	var needs []rule.Need
	open := func(family, field, of string) *series.Series {
		p := signal.Path{Family: family, Field: field}
		info, ok := signal.Lookup(p)
		if !ok {
			t.Fatalf("there is no %s", p)
		}
		needs = append(needs, rule.Need{Key: series.Key{Signal: p.String(), Of: of}})
		return Open(st, p, of, info)
	}
	shop, shopUnit := open(signal.Change, "any", "shop"), open(signal.Change, "unit", "shop")
	host, hostPackage := open(signal.HostChange, "any", ""), open(signal.HostChange, "package", "")
	needs = append(needs, rule.Need{Key: series.Key{Signal: "host.cpu.busy"}})
	var c Changes
	c.Follow(st, needs)
	want := func(now time.Duration, ages ...time.Duration) {
		t.Helper()
		c.Tell(now)
		for i, s := range []*series.Series{shop, shopUnit, host, hostPackage} {
			if v, ok := s.Value(now); !ok || v != ages[i].Seconds() {
				t.Errorf("at %v %s is %v, %v; want %v", now, needs[i].Key, v, ok, ages[i])
			}
		}
	}
	const none = signal.NoChange
	want(time.Minute, none, none, none, none)
	c.Note("", "package", -time.Hour) // before this boot
	want(time.Minute, 61*time.Minute, none, 61*time.Minute, 61*time.Minute)
	c.Note("shop", "unit", 50*time.Second)
	c.Note("shop", "unit", 20*time.Second)
	c.Note("other", "unit", 55*time.Second)
	want(time.Minute, 10*time.Second, 10*time.Second, 61*time.Minute, 61*time.Minute)
	c.Note("", "unit", 59*time.Second)
	want(time.Minute+900*time.Millisecond, time.Second, time.Second, time.Second, 61*time.Minute)
	want(8*24*time.Hour, none, none, none, none)
}
