package state

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/proto/logpb"
)

func pauses(scope string, length int64, mods ...func(*logpb.PauseCommand)) *logpb.Command {
	c := &logpb.PauseCommand{Scope: scope, By: "kim", Reason: "maintenance", For: length}
	for _, m := range mods {
		m(c)
	}
	return command(c)
}

func window(name string) func(*logpb.PauseCommand) {
	return func(c *logpb.PauseCommand) { c.Window, c.By = name, "" }
}

// two is a rig with checkout and shop on two hosts each.
func two(t *testing.T) *rig {
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.joins("shop", nil, "web-3", "web-4")
	return r
}

func TestWhatAPauseBinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scope string
		// Where is a remedy of checkout refused, and one of shop, and one of the host itself?
		want string
	}{
		{"all", "checkout@web-1 checkout@web-3 shop@web-3 shop@web-4 host@web-1 host@web-3 host@web-4"},
		{"host:web-3", "checkout@web-3 shop@web-3 host@web-3"},
		{"service:checkout", "checkout@web-1 checkout@web-3 host@web-1 host@web-3"},
		{"service:check*", "checkout@web-1 checkout@web-3 host@web-1 host@web-3"},
		{"unit:checkout.service", "checkout@web-1 checkout@web-3"},
		{"unit:another.service", ""},
	} {
		t.Run(c.scope, func(t *testing.T) {
			t.Parallel()
			r := two(t)
			r.must(pauses(c.scope, hour))
			var got []string
			const tries = "checkout@web-1 checkout@web-3 shop@web-3 shop@web-4 host@web-1 host@web-3 host@web-4"
			for _, try := range strings.Fields(tries) {
				service, host, _ := strings.Cut(try, "@")
				service = strings.TrimPrefix(service, "host")
				answer := r.apply(r.ask(host, service, func(q *logpb.Request) {
					if service != "" {
						q.Unit = service + ".service"
					}
				}))
				if answer.GetRefusal().GetCode() == "paused" {
					got = append(got, try)
				} else {
					r.settle(host, answer.GetGrant(), logpb.Settlement_SETTLEMENT_UNUSED)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("paused (-want +got):\n%s", diff)
			}
		})
	}
}

// What else a remedy takes away may be paused, too.
func TestPauseOfAnotherTarget(t *testing.T) {
	t.Parallel()
	r := two(t)
	too := func(q *logpb.Request) { q.Targets = []*logpb.Target{{Service: "shop", Host: "web-4"}} }
	r.must(pauses("host:web-4", hour))
	if after := r.refused("paused", "web-3", "shop", too).GetRetryAfter(); after != hour {
		t.Errorf("to be asked again after %v", asDuration(after))
	}
	r.must(r.resumes("host:web-4"))
	r.must(pauses("host:web-4", 0))
	r.refused("paused", "web-3", "shop", too)
}

func TestPauseEnds(t *testing.T) {
	t.Parallel()
	r := two(t)
	r.must(pauses("service:checkout", hour))
	r.later(hour - second)
	if after := r.refused("paused", "web-1", "checkout").GetRetryAfter(); after != second {
		t.Errorf("to be asked again after %v", asDuration(after))
	}
	before := r.s.StandingVersion("web-1")
	r.later(second)
	if r.s.StandingVersion("web-1") == before || len(r.s.StandingOrders("web-1").GetPauses()) != 0 {
		t.Error("the hosts do not hear of the end")
	}
	r.granted("web-1", "checkout")
}

// TestTurnedBackOn: no configuration, restart, new leader or passing of time undoes a pause; a person does.
func TestTurnedBackOn(t *testing.T) {
	t.Parallel()
	r := two(t)
	id := r.must(pauses("service:checkout", 0)).GetId()
	r.configure(&logpb.Config{Escalations: people(), Services: []*logpb.Service{service("checkout", 2)}})
	r.restoreSame()
	r.later(40 * day)
	r.joins("checkout", nil, "web-1")
	r.refused("paused", "web-1", "checkout")
	if p := r.s.StandingOrders("web-1").GetPauses(); len(p) != 1 || p[0].GetId() != id {
		t.Errorf("web-1 knows %v", p)
	}
	r.code("who", r.apply(command(&logpb.ResumeCommand{Pause: id})))
	r.must(r.resumes(id))
	r.granted("web-1", "checkout")
}

// A pause without an end reminds people every day.
func TestPauseReminds(t *testing.T) {
	t.Parallel()
	r := two(t)
	id := r.must(pauses("service:checkout", 0)).GetId()
	r.later(day - second)
	r.sent()
	r.later(second)
	m := r.s.DeliveriesDue()[0]
	want := "service:checkout has been paused for 24h0m0s by kim: maintenance"
	if !strings.HasPrefix(m.GetKey(), id+"/") || m.GetText() != want {
		t.Errorf("it says %v", m)
	}
	r.courier()
	for range 3 {
		r.later(day)
		if n := len(r.courier()); n != 1 {
			t.Errorf("reminded %d times a day", n)
		}
	}
	r.warns("service:checkout has been paused for 96h0m0s by kim (" + id + ")")
	r.later(3 * day)
	if n := len(r.courier()); n != 1 {
		t.Errorf("reminded %d times of what nobody could be told before", n)
	}
	for range 60 {
		r.later(day)
		r.courier()
	}
	if n := len(r.s.deliveries); n > 32 {
		t.Errorf("%d reminders are kept", n)
	}
}

func TestPausesAreRefused(t *testing.T) {
	t.Parallel()
	r := two(t)
	for scope, code := range map[string]string{
		"": "scope", "everything": "scope", "service:": "service", "unit:": "scope", "host:": "host", "host:web-9": "host",
		"service:chekcout": "service", "service:x*": "service",
	} {
		if got := r.apply(pauses(scope, hour)).GetRefusal().GetCode(); got != code {
			t.Errorf("%q: refused %q, want %q", scope, got, code)
		}
	}
	r.code("who", r.apply(pauses("all", hour, func(c *logpb.PauseCommand) { c.By = "" })))
	r.code("for", r.apply(pauses("all", -1)))
	r.code("for", r.apply(pauses("all", 0, window("night"))))
	r.configure(&logpb.Config{Services: []*logpb.Service{{Name: "planned"}}})
	r.must(r.resumes(r.must(pauses("service:planned", hour)).GetId()))
	r.code("pause", r.apply(r.resumes("pause-99")))
	r.code("pause", r.apply(r.resumes("all")))
	for range maxPauses {
		r.s.pauses[r.s.nextID("pause")] = &logpb.Pause{}
	}
	r.code("many", r.apply(pauses("all", hour)))
}

func TestResumeOfAScope(t *testing.T) {
	t.Parallel()
	r := two(t)
	r.must(pauses("service:checkout", hour))
	r.must(pauses("service:checkout", 0))
	shop := r.must(pauses("service:shop", 0)).GetId()
	r.must(r.resumes("service:checkout"))
	if p := r.s.Pauses(); len(p) != 1 || p[0].GetId() != shop {
		t.Errorf("left: %v", p)
	}
}

// A recurring window is opened once, and a person who ends its turn ends it until the next.
func TestWindow(t *testing.T) {
	t.Parallel()
	r := two(t)
	r.configure(&logpb.Config{Windows: []*logpb.Window{{Name: "night"}, {Name: "lunch"}}})
	id := r.must(pauses("all", hour, window("night"))).GetId()
	r.later(minute)
	again := r.must(pauses("all", hour, window("night"))).GetId()
	if again != id || id != "window:night" || len(r.s.Pauses()) != 1 {
		t.Errorf("opened as %q and %q", id, again)
	}
	r.must(pauses("service:shop", hour, window("night"))) // another part of it
	if w := r.s.StandingOrders("web-1").GetWindows(); len(w) != 2 {
		t.Errorf("web-1 knows %v", w)
	}
	r.must(r.resumes(id))
	r.must(pauses("all", hour, window("night")))
	r.settle("web-1", r.granted("web-1", "checkout"), logpb.Settlement_SETTLEMENT_UNUSED)
	if w := r.s.StandingOrders("web-1").GetWindows(); len(w) != 1 || w[0].GetName() != "lunch" {
		t.Errorf("web-1 knows %v", w)
	}
	r.later(hour)
	r.must(pauses("all", hour, window("night"))) // the next turn
	r.refused("paused", "web-1", "checkout")
}

// In a new generation nothing runs until every known host has said what it still does.
func TestPauseOfAGeneration(t *testing.T) {
	t.Parallel()
	r := two(t)
	r.restore(r.s.Snapshot(), strings.Repeat("2", 32))
	all := r.s.Pauses()
	refusal := r.code("awaited", r.apply(r.resumes(all[0].GetId())))
	if diff := cmp.Diff([]string{"web-1", "web-2", "web-3", "web-4"}, refusal.GetHolders()); diff != "" {
		t.Errorf("awaited (-want +got):\n%s", diff)
	}
	r.code("awaited", r.apply(r.resumes("all")))
	if n := len(r.s.NotReached(all[0].GetId())); n != 4 {
		t.Errorf("%d hosts have not confirmed", n)
	}
	r.joins("checkout", nil, "web-1", "web-2", "web-3")
	r.code("awaited", r.apply(r.resumes("all")))
	r.must(command(&logpb.RemoveHost{Host: "web-4", By: "kim", Gone: true}))
	r.must(r.resumes("all"))
	r.granted("web-1", "checkout")
}

// Where a step may still begin: hosts that a pause binds and that have not confirmed it.
func TestNotReached(t *testing.T) {
	t.Parallel()
	names := func(hosts []*logpb.Host) string {
		var out []string
		for _, h := range hosts {
			out = append(out, h.GetName())
		}
		return strings.Join(out, " ")
	}
	r := two(t)
	for scope, want := range map[string]string{
		"all": "web-1 web-2 web-3 web-4", "service:shop": "web-3 web-4", "host:web-2": "web-2",
		"unit:x.service": "web-1 web-2 web-3 web-4",
	} {
		id := r.must(pauses(scope, hour)).GetId()
		if got := names(r.s.NotReached(id)); got != want {
			t.Errorf("%s has not reached %q, want %q", scope, got, want)
		}
	}
	id := r.must(pauses("service:shop", hour)).GetId()
	r.confirm("web-4")
	if got := names(r.s.NotReached(id)); got != "web-3" {
		t.Errorf("it has not reached %q", got)
	}
	c := r.greet("web-4", "shop") // its journal is another one, and so what it knew is gone
	c.GetHello().Stream = "new"
	r.must(c)
	if got := names(r.s.NotReached(id)); got != "web-3 web-4" {
		t.Errorf("it has not reached %q", got)
	}
	r.must(r.resumes(id))
	if got := r.s.NotReached(id); got != nil {
		t.Errorf("what is over has not reached %v", got)
	}
}

// What failed on two hosts in a row begins again when a person says so.
func TestResumeForgives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scope string
		ok    bool
	}{
		{"service:checkout", true}, {"service:checkout/slow", true}, {"all", true},
		{"service:checkout/other", false}, {"service:shop", false}, {"host:web-1", false},
	} {
		t.Run(c.scope, func(t *testing.T) {
			t.Parallel()
			r := two(t)
			for _, host := range []string{"web-1", "web-2"} {
				r.settle(host, r.granted(host, "checkout"), logpb.Settlement_SETTLEMENT_FAILED)
			}
			r.refused("halted", "web-3", "checkout")
			r.warns("salve resume service:checkout/slow")
			answer := r.apply(r.resumes(c.scope))
			if (answer.GetRefusal() == nil) != c.ok {
				t.Errorf("the answer is %v", answer)
			}
			if c.ok {
				r.granted("web-3", "checkout")
			} else {
				r.refused("halted", "web-3", "checkout")
			}
		})
	}
}

func TestObserveIsForPeople(t *testing.T) {
	t.Parallel()
	r := two(t)
	r.configure(&logpb.Config{Services: []*logpb.Service{{Name: "checkout", Autonomy: "observe"}}})
	r.refused("observe", "web-1", "checkout")
	r.granted("web-4", "shop")
	r.granted("web-1", "checkout", func(q *logpb.Request) { q.By = "kim" })
}
