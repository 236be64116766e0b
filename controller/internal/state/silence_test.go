package state

import (
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

func TestWhatASilenceMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		match []string
		held  bool
	}{
		{[]string{"service=checkout"}, true},
		{[]string{"service=check*"}, true},
		{[]string{"service=shop"}, false},
		{[]string{"rule=down", "severity=critical"}, true},
		{[]string{"rule=down", "severity=warning"}, false},
		{[]string{"host=web-1"}, true},
		{[]string{"host=web-?"}, true},
		{[]string{"host=db-*"}, false},
		{[]string{"zone=a"}, true},
		{[]string{"zone=[ab]", "service=*"}, true},
		{[]string{"zone=b"}, false},
		{[]string{"nothing=*"}, false},
	} {
		t.Run(c.match[0], func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.labels["web-1"] = []*logpb.Label{{Name: "zone", Value: "a"}}
			r.joins("checkout", nil, "web-1", "web-2", "web-3")
			r.silences(hour, c.match...)
			r.fires("web-1", "checkout", "down", severity("critical"))
			r.handsOver("web-1", "checkout", "spent")
			if got := len(r.courier()) == 0; got != c.held {
				t.Errorf("%v holds back: %t", c.match, got)
			}
		})
	}
}

// A silence holds messages back and nothing else. What is still open at its end is sent, once to a place.
func TestSilenceEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.silences(hour, "service=checkout")
	r.fires("web-1", "checkout", "down")
	r.later(hour - second)
	r.sent()
	r.granted("web-1", "checkout") // no remedy waits for it
	r.wrote(r.incident("checkout"), "telling slack.ops, held back by a silence")
	r.later(second)
	r.sent("trigger checkout/0/0 slack.ops", "trigger checkout/1/0 pagerduty.payments")
	r.later(day)
	r.sent()
	if len(r.s.Silences()) != 0 {
		t.Errorf("silences: %v", r.s.Silences())
	}
}

func TestWhatEndedDuringASilence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1")
	id := r.silences(hour, "service=checkout")
	n := r.fires("web-1", "checkout", "down")
	r.later(10 * minute)
	r.clears("web-1", n, true)
	r.must(command(&logpb.EndSilence{Id: id, By: "kim"}))
	r.later(day)
	r.sent()
}

// A silence that comes later holds back what was not sent yet, and never the end of what was told.
func TestSilenceComesLater(t *testing.T) {
	t.Parallel()
	r, n := paging(t, "default")
	r.sent("trigger checkout/0/0 slack.ops")
	r.later(5 * minute)
	r.due("trigger checkout/1/0 pagerduty.payments")
	id := r.silences(hour, "service=checkout")
	r.due()
	r.must(command(&logpb.EndSilence{Id: id, By: "kim"}))
	r.due("trigger checkout/1/0 pagerduty.payments")
	r.silences(hour, "service=checkout")
	r.clears("web-1", n, true)
	r.sent("resolve checkout/resolved slack.ops")
}

// A story of which only a part is silenced is told.
func TestPartlySilenced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.silences(hour, "host=web-1")
	r.fires("web-1", "checkout", "down")
	r.handsOver("web-1", "checkout", "spent")
	r.sent()
	n := r.fires("web-2", "checkout", "slow")
	r.due("trigger checkout/0/0 slack.ops")
	r.clears("web-2", n, true)
	r.due()
}

func TestSilencesAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask := func(mod func(*logpb.SilenceCommand)) *logpb.Result {
		c := &logpb.SilenceCommand{By: "kim", For: hour, Match: []*logpb.Label{{Name: "service", Value: "x"}}}
		mod(c)
		return r.apply(command(c))
	}
	r.code("match", ask(func(c *logpb.SilenceCommand) { c.Match = nil }))
	r.code("match", ask(func(c *logpb.SilenceCommand) { c.Match[0].Value = "" }))
	r.code("match", ask(func(c *logpb.SilenceCommand) { c.Match[0].Value = "[" }))
	r.code("who", ask(func(c *logpb.SilenceCommand) { c.By = "" }))
	r.code("for", ask(func(c *logpb.SilenceCommand) { c.For = 0 }))
	r.code("silence", r.apply(command(&logpb.EndSilence{Id: "silence-9"})))
	for range maxSilences {
		r.s.silences[r.s.nextID("silence")] = &logpb.Silence{}
	}
	r.code("many", ask(func(*logpb.SilenceCommand) {}))
}
