package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
)

// ladder is the example of the documentation: chat at once, then the pager, which repeats.
func ladder() []config.Step {
	return []config.Step{
		{Notify: []string{"webhook.chat"}},
		{After: 5 * time.Minute, Notify: []string{"email.me", "webhook.pager"}, Repeat: 2},
		{After: 10 * time.Minute, Notify: []string{"email.boss"}},
	}
}

// climbing plays the climb minute by minute and writes down what was due.
func climbing(i *Incident, steps []config.Step, from, to time.Duration) string {
	var out []string
	for now := from; now < to; now += time.Minute {
		for d, _ := i.Next(steps, at(now)); d != nil; d, _ = i.Next(steps, at(now)) {
			i.Took(d, steps, at(now))
			out = append(out, fmt.Sprintf("%v %s %s", now, strings.TrimPrefix(d.Key, i.ID), strings.Join(d.Notify, ",")))
		}
	}
	return strings.Join(out, "\n")
}

func handed(t *testing.T) *Incident {
	t.Helper()
	i := open()
	if err := i.HandOver(at(0), "default", "spent"); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestClimb(t *testing.T) {
	i := handed(t)
	want := `0s /0/0 webhook.chat
5m0s /1/0 email.me,webhook.pager
10m0s /1/1 email.me,webhook.pager
15m0s /1/2 email.me,webhook.pager
25m0s /2/0 email.boss`
	if diff := cmp.Diff(want, climbing(i, ladder(), 0, 2*time.Hour)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"webhook.chat", "email.me", "webhook.pager", "email.boss"}, i.Escalate.Told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if d, wait := i.Next(ladder(), at(3*time.Hour)); d != nil || wait != 0 {
		t.Errorf("after the last rung: %v, %v", d, wait)
	}
}

func TestNextTellsTheWait(t *testing.T) {
	i := handed(t)
	climbing(i, ladder(), 0, time.Minute)
	if d, wait := i.Next(ladder(), at(2*time.Minute)); d != nil || wait != 3*time.Minute {
		t.Errorf("due %v, wait %v; want nothing for 3m", d, wait)
	}
	if got := i.Escalate.Due; got != at(5*time.Minute) {
		t.Errorf("due at %v, want %v", got, at(5*time.Minute))
	}
}

func TestFirstRungMayWait(t *testing.T) {
	steps := []config.Step{{After: 2 * time.Minute, Notify: []string{"email.me"}}}
	i := handed(t)
	if d, wait := i.Next(steps, at(time.Minute)); d != nil || wait != time.Minute {
		t.Errorf("due %v, wait %v", d, wait)
	}
	if d, _ := i.Next(steps, at(2*time.Minute)); d == nil {
		t.Error("not due after its time")
	}
}

func TestRepeatOfRungWithoutPeriod(t *testing.T) {
	steps := []config.Step{{Notify: []string{"email.me"}, Repeat: 1}}
	want := "0s /0/0 email.me\n5m0s /0/1 email.me"
	if diff := cmp.Diff(want, climbing(handed(t), steps, 0, time.Hour)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAcknowledgeStopsTheClimb(t *testing.T) {
	i := handed(t)
	climbing(i, ladder(), 0, time.Minute)
	if err := i.Acknowledge("kim", true); err != nil {
		t.Fatal(err)
	}
	if got := climbing(i, ladder(), 0, time.Hour); got != "" {
		t.Errorf("a person has it, and still: %s", got)
	}
	if err := i.Release(at(time.Hour), "kim"); err != nil {
		t.Fatal(err)
	}
	if got := climbing(i, ladder(), time.Hour, time.Hour+time.Minute); got != "1h0m0s /1/0 email.me,webhook.pager" {
		t.Errorf("after the release: %q", got)
	}
}

func TestSkip(t *testing.T) {
	i := handed(t)
	climbing(i, ladder(), 0, 6*time.Minute)
	i.Skip(ladder(), at(6*time.Minute))
	if got := climbing(i, ladder(), 6*time.Minute, 7*time.Minute); got != "6m0s /2/0 email.boss" {
		t.Errorf("the pager refused for good: %q", got)
	}
}

func TestFarewell(t *testing.T) {
	i := handed(t)
	climbing(i, ladder(), 0, time.Minute)
	late, _ := i.Next(ladder(), at(5*time.Minute))
	if i.Farewell() != nil {
		t.Error("said farewell while it goes on")
	}
	if err := i.Resolve(at(5*time.Minute), "kim", "closed"); err != nil {
		t.Fatal(err)
	}
	bye := i.Farewell()
	if bye == nil || !slices.Equal(bye.Notify, []string{"webhook.chat"}) || bye.Key != i.ID+"/resolved" {
		t.Errorf("farewell %+v, want it for all that were told", bye)
	}
	if i.MaySend(late) || !i.MaySend(bye) {
		t.Error("a late trigger would follow the farewell")
	}
	if got := climbing(i, ladder(), 5*time.Minute, time.Hour); got != "" {
		t.Errorf("called after the end: %s", got)
	}
	if quiet := open(); quiet.Resolve(at(0), "kim", "closed") != nil || quiet.Farewell() != nil {
		t.Error("farewell to nobody")
	}
}

// The climb goes on after a reboot by the wall clock, and a clock that was set back delays it by no
// more than the rung itself.
func TestClimbAcrossReboot(t *testing.T) {
	i := handed(t)
	climbing(i, ladder(), 0, time.Minute)
	now := clock.Stamp{Boot: time.Minute, BootID: "boot-2", Wall: at(4 * time.Minute).Wall}
	if d, wait := i.Next(ladder(), now); d != nil || wait != time.Minute {
		t.Errorf("due %v, wait %v", d, wait)
	}
	now.Wall = at(-24 * time.Hour).Wall
	if d, wait := i.Next(ladder(), now); d != nil || wait != 5*time.Minute {
		t.Errorf("with the clock set back: due %v, wait %v", d, wait)
	}
}

// An escalation that was shortened by a reload does not panic or repeat itself.
func TestShorterLadder(t *testing.T) {
	i := handed(t)
	climbing(i, ladder(), 0, 30*time.Minute)
	if d, wait := i.Next(ladder()[:1], at(time.Hour)); d != nil || wait != 0 {
		t.Errorf("due %v, wait %v", d, wait)
	}
}
