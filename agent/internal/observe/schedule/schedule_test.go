package schedule

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNextIsTheFirstMomentAfterNow(t *testing.T) {
	g := Grid{Phase: 30 * time.Millisecond}
	tests := []struct{ now, every, offset, want time.Duration }{
		{0, time.Second, 0, 30 * time.Millisecond},
		{30 * time.Millisecond, time.Second, 0, 1030 * time.Millisecond},
		{29 * time.Millisecond, time.Second, 0, 30 * time.Millisecond},
		{5 * time.Second, time.Second, Slot, 5530 * time.Millisecond},
		{time.Minute + 1, 100 * time.Millisecond, 0, time.Minute + 30*time.Millisecond},
	}
	for _, tt := range tests {
		if got := g.Next(tt.now, tt.every, tt.offset); got != tt.want {
			t.Errorf("Next(%v, %v, %v) = %v, want %v", tt.now, tt.every, tt.offset, got, tt.want)
		}
	}
}

func TestNextProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Grid{Phase: time.Duration(rapid.Int64Range(0, int64(Slot)).Draw(t, "phase"))}
		every := time.Duration(rapid.Int64Range(int64(50*time.Millisecond), int64(time.Hour)).Draw(t, "every"))
		now := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "now"))
		offset := g.Offset(rapid.String().Draw(t, "name"), every)
		if offset < 0 || offset >= every {
			t.Fatalf("offset %v outside of the period %v", offset, every)
		}
		next := g.Next(now, every, offset)
		if next <= now {
			t.Fatalf("next %v is not after now %v", next, now)
		}
		if next-now > every {
			t.Fatalf("next is %v away, the period is %v", next-now, every)
		}
		if again := g.Next(next, every, offset); again != next+every {
			t.Fatalf("the moment after %v is %v, want one period later", next, again)
		}
	})
}

func TestOffsetSpreadsOverTheSlots(t *testing.T) {
	var g Grid
	got := map[time.Duration]int{}
	for i := range 400 {
		got[g.Offset(fmt.Sprintf("service-%d/health", i), 2*time.Second)]++
	}
	if len(got) != 4 {
		t.Fatalf("offsets %v, want all four slots", got)
	}
	for slot, n := range got {
		if n < 50 {
			t.Errorf("only %d of 400 in slot %v", n, slot)
		}
	}
}
