package state

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/proto/logpb"
)

const (
	stClaimed = logpb.DeliveryState_DELIVERY_STATE_CLAIMED
	stTold    = logpb.DeliveryState_DELIVERY_STATE_TOLD
	stRefused = logpb.DeliveryState_DELIVERY_STATE_REFUSED
	stFailed  = logpb.DeliveryState_DELIVERY_STATE_FAILED
)

func by(node string) func(*logpb.Delivered) { return func(c *logpb.Delivered) { c.Node = node } }
func reached(c *logpb.Delivered)            { c.Reached = true }
func retryAfter(d int64) func(c *logpb.Delivered) {
	return func(c *logpb.Delivered) { c.RetryAfter = d }
}
func (r *rig) claim(m *logpb.Delivery)                 { r.t.Helper(); r.delivers(m, stClaimed) }
func (r *rig) fails(m *logpb.Delivery)                 { r.t.Helper(); r.claim(m); r.delivers(m, stFailed) }
func (r *rig) denies(m *logpb.Delivery)                { r.t.Helper(); r.claim(m); r.delivers(m, stRefused) }
func (r *rig) apart(m *logpb.Delivery) *logpb.Delivery { return r.s.deliveries[deliveryOf(m)] }

// paging is a rig with one incident of checkout that has just been handed to the escalation.
func paging(t *testing.T, escalation string) (r *rig, n uint64) {
	r = newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	n = r.fires("web-1", "checkout", "down", escalates(escalation))
	r.handsOver("web-1", "checkout", "spent")
	return r, n
}

// due expects what may be claimed now.
func (r *rig) due(want ...string) []*logpb.Delivery {
	r.t.Helper()
	var got []string
	list := r.s.DeliveriesDue()
	for _, m := range list {
		got = append(got, r.describe(m))
	}
	if diff := cmp.Diff(want, got, equateEmpty()); diff != "" {
		r.t.Errorf("due (-want +got):\n%s", diff)
	}
	return list
}

func TestOneNodeSends(t *testing.T) {
	t.Parallel()
	r, _ := paging(t, "default")
	m := r.due("trigger checkout/0/0 slack.ops")[0]
	r.claim(m)
	r.code("held", r.apply(delivered(m, stClaimed, by("ctl-2"))))
	r.code("held", r.apply(delivered(m, stClaimed)))
	r.code("claimed", r.apply(delivered(m, stFailed, by("ctl-2"))))
	r.code("delivery", r.apply(delivered(m, logpb.DeliveryState_DELIVERY_STATE_SILENCED)))
	r.delivers(m, stTold)
	r.delivers(m, stTold) // the answer was lost
	r.code("held", r.apply(delivered(m, stClaimed)))
	r.code("claimed", r.apply(delivered(m, stFailed)))
	r.code("ended", r.apply(delivered(&logpb.Delivery{Key: "another", Notifier: "slack.ops"}, stClaimed)))
}

// A leader that died with a claim: the next one sends under the same key.
func TestClaimOfADeadLeader(t *testing.T) {
	t.Parallel()
	r, n := paging(t, "default")
	m := r.due("trigger checkout/0/0 slack.ops")[0]
	r.claim(m)
	r.later(claimFor - second)
	r.due()
	r.later(second)
	r.due("trigger checkout/0/0 slack.ops")
	r.delivers(m, stClaimed, by("ctl-2"))
	r.delivers(m, stFailed, by("ctl-2")) // this time surely not; but nobody knows of the first
	r.clears("web-1", n, true)
	r.sent("resolve checkout/resolved slack.ops")
}

func TestRetries(t *testing.T) {
	t.Parallel()
	r, _ := paging(t, "db")
	list := r.due("trigger checkout/0/0 email.boss", "trigger checkout/0/0 email.dba", "trigger checkout/1/0 slack.ops")
	m := list[0]
	for _, wait := range []int64{5, 10, 20, 40, 80, 160, 300, 300} {
		r.fails(m)
		r.later(wait*second - 1)
		if got := r.apart(m).GetState(); got != stFailed {
			t.Fatalf("%v before %d s have passed", got, wait)
		}
		r.later(1)
		if got := r.apart(m).GetState(); got != logpb.DeliveryState_DELIVERY_STATE_DUE {
			t.Fatalf("%v after %d s", got, wait)
		}
	}
	r.claim(m)
	r.delivers(m, stFailed, retryAfter(1000*second)) // the place asks for patience
	r.later(1000*second - 1)
	if r.apart(m).GetState() != stFailed {
		t.Error("tried too soon")
	}
	r.warns("email.boss could not be reached 9 times: an error")
	said := 0
	for _, e := range r.incident("checkout").GetTimeline() {
		if strings.HasPrefix(e.GetText(), "email.boss could not be reached") {
			said++
		}
	}
	if said != 4 { // of 9 failures: 1, 2, 4, 8
		t.Errorf("said %d times", said)
	}
}

// If everyone of a step refuses for good, the next step is climbed at once.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	r, n := paging(t, "default")
	r.denies(r.due("trigger checkout/0/0 slack.ops")[0])
	r.denies(r.due("trigger checkout/1/0 pagerduty.payments")[0])
	r.later(hour)
	r.due() // no repeat for who refused
	i := r.incident("checkout")
	r.wrote(i, "slack.ops refused the message: an error")
	r.wrote(i, "there is no other step")
	r.warns("nobody could be told")
	r.clears("web-1", n, false)
	r.sent() // nobody knows of it
}

func TestOneOfAStepRefuses(t *testing.T) {
	t.Parallel()
	r, _ := paging(t, "db")
	both := r.due("trigger checkout/0/0 email.boss", "trigger checkout/0/0 email.dba", "trigger checkout/1/0 slack.ops")
	r.denies(both[0])
	r.sent("trigger checkout/0/0 email.dba", "trigger checkout/1/0 slack.ops")
	r.must(resolves(r.incident("checkout")))
	r.sent("resolve checkout/resolved email.dba", "resolve checkout/resolved slack.ops")
}

// Refused, and somebody may have it all the same: only some recipients did not take it.
func TestRefusedAndReached(t *testing.T) {
	t.Parallel()
	r, n := paging(t, "default")
	m := r.due("trigger checkout/0/0 slack.ops")[0]
	r.claim(m)
	r.delivers(m, stRefused, reached)
	r.clears("web-1", n, false)
	r.sent("resolve checkout/resolved slack.ops")
}

// TestTriggerAfterResolve: once an incident has ended, its end is the last that a place hears of it, whatever
// state the messages were in.
func TestTriggerAfterResolve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(r *rig, m *logpb.Delivery)
		after  func(r *rig, m *logpb.Delivery)
		want   []string
	}{
		{"not sent yet", func(*rig, *logpb.Delivery) {}, func(r *rig, m *logpb.Delivery) {
			r.code("ended", r.apply(delivered(m, stClaimed)))
		}, nil},
		{"failed", func(r *rig, m *logpb.Delivery) { r.fails(m) }, func(r *rig, m *logpb.Delivery) {
			r.code("ended", r.apply(delivered(m, stClaimed)))
		}, nil},
		{"may have arrived", func(r *rig, m *logpb.Delivery) { r.claim(m); r.delivers(m, stFailed, reached) },
			func(*rig, *logpb.Delivery) {}, []string{"resolve checkout/resolved slack.ops"}},
		{"told", func(r *rig, m *logpb.Delivery) { r.claim(m); r.delivers(m, stTold) }, func(*rig, *logpb.Delivery) {},
			[]string{"resolve checkout/resolved slack.ops"}},
		{"on its way, and arrives", func(r *rig, m *logpb.Delivery) { r.claim(m) }, func(r *rig, m *logpb.Delivery) {
			r.due() // the end waits for it
			r.delivers(m, stTold)
		}, []string{"resolve checkout/resolved slack.ops"}},
		{"on its way, and fails", func(r *rig, m *logpb.Delivery) { r.claim(m) }, func(r *rig, m *logpb.Delivery) {
			r.due()
			r.delivers(m, stFailed)
		}, nil},
		{"on its way, and refused", func(r *rig, m *logpb.Delivery) { r.claim(m) }, func(r *rig, m *logpb.Delivery) {
			r.due()
			r.delivers(m, stRefused)
		}, nil},
		{"on its way, and its leader dies", func(r *rig, m *logpb.Delivery) { r.claim(m) }, func(r *rig, m *logpb.Delivery) {
			r.later(claimFor)
			r.code("ended", r.apply(delivered(m, stClaimed, by("ctl-2"))))
		}, []string{"resolve checkout/resolved slack.ops"}},
		{"silenced", func(r *rig, m *logpb.Delivery) { r.silences(hour, "service=checkout") },
			func(r *rig, m *logpb.Delivery) { r.later(2 * hour) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, n := paging(t, "default")
			m := r.due("trigger checkout/0/0 slack.ops")[0]
			c.before(r, m)
			r.clears("web-1", n, true)
			c.after(r, m)
			r.sent(c.want...)
			r.later(2 * day)
			r.sent()
		})
	}
}

// Nobody waits for the end of an incident for ever.
func TestFarewellIsGivenUp(t *testing.T) {
	t.Parallel()
	r, n := paging(t, "default")
	r.sent("trigger checkout/0/0 slack.ops")
	r.clears("web-1", n, true)
	for tries := 0; ; tries++ {
		list := r.s.DeliveriesDue()
		if len(list) == 0 {
			break
		}
		if tries > 1000 {
			t.Fatal("tried for ever")
		}
		r.fails(list[0])
		r.later(5 * minute)
	}
	r.wrote(r.incident("checkout"), "given up")
}

// While a person has it, what was not sent yet waits.
func TestAcknowledgedBeforeItWasSent(t *testing.T) {
	t.Parallel()
	r, _ := paging(t, "default")
	m := r.due("trigger checkout/0/0 slack.ops")[0]
	r.acks(r.incident("checkout"), false)
	r.due()
	r.code("held", r.apply(delivered(m, stClaimed)))
	r.must(releases(r.incident("checkout")))
	r.sent("trigger checkout/0/0 slack.ops")
}

// The messages of one incident reach a place in their order.
func TestOrderAtOnePlace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.configure(&logpb.Config{Escalations: []*logpb.Escalation{{Name: "default", Steps: []*logpb.Step{
		{Notify: []string{"slack.ops"}, After: 0}, {Notify: []string{"slack.ops"}, After: second, Repeat: 2}}}}})
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	r.handsOver("web-1", "checkout", "spent")
	m := r.due("trigger checkout/0/0 slack.ops")[0]
	r.fails(m)
	r.later(4 * second)
	r.due()
	r.later(second)
	r.sent("trigger checkout/0/0 slack.ops", "trigger checkout/1/0 slack.ops", "reminder checkout/1/1 slack.ops",
		"reminder checkout/1/2 slack.ops")
}

// A long climb keeps a bounded number of messages.
func TestFinishedMessagesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var steps []*logpb.Step
	for range 10 {
		steps = append(steps, &logpb.Step{Notify: []string{"slack.ops"}, After: second, Repeat: 1 << 30})
	}
	r.configure(&logpb.Config{Escalations: []*logpb.Escalation{{Name: "default", Steps: steps}}})
	r.joins("checkout", nil, "web-1")
	r.fires("web-1", "checkout", "down")
	r.handsOver("web-1", "checkout", "spent")
	for range 10 * (maxRepeat + 1) {
		r.courier()
		r.later(second)
	}
	i := r.incident("checkout")
	if got := len(r.s.DeliveriesOf(i.GetId())); got > maxDeliveries*3/2 || got < maxDeliveries {
		t.Errorf("%d messages are kept", got)
	}
	if i.GetStep() != 10 || i.GetRepeat() != maxRepeat {
		t.Errorf("climbed to %d, repeated %d times", i.GetStep(), i.GetRepeat())
	}
	r.must(resolves(i))
	r.sent("resolve checkout/resolved slack.ops")
}
