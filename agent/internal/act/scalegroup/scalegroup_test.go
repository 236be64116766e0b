package scalegroup_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/scalegroup"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

func (g *rig) run() (incident.Attempt, error) {
	p, err := g.Prepare(g.t.Context(), g.request())
	if err != nil {
		return incident.Attempt{}, err
	}
	return g.Run(g.t.Context(), p)
}

// acts expects the remedy to work.
func (g *rig) acts() incident.Attempt {
	g.t.Helper()
	a, err := g.run()
	if err != nil || a.Error != "" || a.Phase != incident.Acted {
		g.t.Fatalf("scale_group is %s: %v %s", a.Phase, err, a.Error)
	}
	return a
}

// fails expects an attempt that ends in that phase because of text; undoable says whether something may be there to take back.
func (g *rig) fails(name string, phase incident.Phase, text string, undoable bool) incident.Attempt {
	g.t.Helper()
	a, err := g.run()
	if err != nil || a.Phase != phase || !strings.Contains(a.Error, text) || a.Error == "" || (len(a.Undo) > 0) != undoable {
		g.t.Errorf("%s: %v, %s, %q, undo %s", name, err, a.Phase, a.Error, a.Undo)
	}
	g.clean(name, a.Error)
	return a
}

func (g *rig) refused(name, text string) {
	g.t.Helper()
	_, err := g.run()
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, text) ||
		refusal.Unknown != strings.Contains(refusal.Reason, "cannot be known") {
		g.t.Errorf("%s: %v, want a refusal because %q", name, err, text)
	} else {
		g.clean(name, refusal.Reason)
	}
}

// clean expects no secret in a text, nor in what is on disk.
func (g *rig) clean(name, text string) {
	g.t.Helper()
	all, err := g.journal.AttemptsWithin(time.Hour)
	g.must(err)
	for _, a := range all {
		text += string(a.Before) + string(a.After) + string(a.Undo) + a.Error + a.Reason
	}
	if strings.Contains(text, token) {
		g.t.Errorf("%s: the token is in %s", name, text)
	}
}

// TestScaleGroup: up, down, and back, with each way of saying on which version, and nothing else is changed.
func TestScaleGroup(t *testing.T) {
	t.Parallel()
	for _, tagged := range []string{"", "weak", "etag", "version"} {
		g := newRig(t)
		g.server.tagged = tagged
		if tagged == "version" {
			g.group.Version, g.group.Set.Body = "version", `{"version": ${version}, "spec": {"replicas": ${count}}}`
		}
		p, err := g.Prepare(t.Context(), g.request())
		g.must(err)
		if p.Text != "set the count of group workers from 3 to 5" || p.Disruptive || !p.Shared {
			t.Errorf("plan %+v", p)
		}
		g.counts("a plan", 3)
		a := g.acts()
		g.counts("up", 5, 5)
		if string(a.Before) != `{"count":3}` || string(a.After) != `{"count":5}` {
			t.Errorf("evidence %s, %s", a.Before, a.After)
		}
		for range 2 {
			_, err := g.Undo(t.Context(), a.ID)
			g.must(err)
		}
		g.counts("back", 3, 3)
		g.args.By, g.args.Min = -5, 2
		if p, err := g.Prepare(t.Context(), g.request()); err != nil || !p.Disruptive {
			t.Errorf("fewer: %+v, %v", p, err)
		}
		g.acts()
		g.counts("down", 2, 2)
		g.refused("down again", "must keep 2")
		g.args.By, g.args.To = 0, 8
		if p, err := g.Prepare(t.Context(), g.request()); err != nil || p.Disruptive {
			t.Errorf("more, by the number: %+v, %v", p, err)
		}
		g.acts()
		g.counts("to", 8, 8)
		g.refused("to again", "has 8 instances already")
		g.args.By, g.args.To = 1, 0
		g.refused("too many", "at most 8")
		g.counts("refused", 8)
		g.clean("all", "")
	}
}

// TestSetByURL: the number may be asked for in the URL alone; the tag of another page means nothing there.
func TestSetByURL(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.server.tagged = "etag"
	var asked []string
	g.server.disturb = func(s *autoscaler, q *http.Request) {
		if q.Method == http.MethodPost {
			asked = append(asked, q.URL.RawQuery+q.Header.Get("If-Match")+q.Header.Get("Content-Type"))
			s.change("workers", 5)
		}
	}
	g.group.Set = config.Call{URL: g.server.URL + "/resize?size=${count}", Method: "POST", SecretFile: g.file, CAFile: g.group.Set.CAFile}
	a, err := g.run() // the server knows no such page, and has done it all the same
	if err != nil || !strings.Contains(a.Error, "nothing was done: the server says 404") || len(asked) != 1 || asked[0] != "size=5" {
		t.Errorf("%+v, %v, asked %q", a, err, asked)
	}
}

// TestNotKnown: what cannot be read is not acted on.
func TestNotKnown(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for raw, want := range map[string]string{
		`{"spec": {}}`: "there is no spec.replicas", `{"spec": {"replicas": "3"}}`: "is a text", `{"spec": {"replicas": -1}}`: "is no count",
		`{"spec": {"replicas": 2.5}}`: "is no count", `{"spec": {"replicas": 1e7}}`: "is no count", `{"spec": `: "read JSON",
		strings.Repeat(" ", 300<<10): "bytes or more", `{"spec": {"replicas": 3}} {}`: "something follows",
	} {
		g.server.raw = raw
		g.refused(want, want)
	}
	g.group.Version = "v"
	for raw, want := range map[string]string{
		`{"spec": {"replicas": 3}}`:                                          "there is no v",
		`{"spec": {"replicas": 3}, "v": {}}`:                                 "v is an object",
		`{"spec": {"replicas": 3}, "v": "` + strings.Repeat("x", 300) + `"}`: "more than 256 bytes",
	} {
		g.server.raw = raw
		g.refused(want, want)
	}
	g.group.Version, g.server.raw = "", ""
	g.server.change("workers", 0)
	g.refused("scaled to nothing by somebody", "has no instance")
	g.server.change("workers", 3)

	g.server.token = "another"
	g.refused("another token", "401 Unauthorized")
	g.server.token = token
	g.must(os.Remove(g.file))
	g.refused("no token", "no such file")
	g.must(os.WriteFile(g.file, []byte(token+"\n\ra\x00b"), 0o600))
	g.refused("no line", "invalid header")
	g.must(os.WriteFile(g.file, []byte(token), 0o600))
	ca := g.group.Set.CAFile
	g.group.Set.CAFile = ""
	g.refused("a server that nobody vouches for", "certificate")
	g.group.Set.CAFile = ca
	g.group.Name = "wor"
	g.refused("no such group", "has no group")
	g.group.Name = "workers"
	g.args.Max = 0
	g.refused("no bound", "does not say")
	g.args.Max = 8
	g.server.Close()
	g.refused("nobody listens", "refused")
	g.server.with(func() {
		if len(g.server.orders) > 0 {
			t.Errorf("set were %v", g.server.orders)
		}
	})
}

// TestTheServerRefuses: then nothing was done, and there is nothing to take back.
func TestTheServerRefuses(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	plain := g.group.Set
	g.group.Set.Type = "text/plain"
	g.fails("media type", incident.Acted, "nothing was done: the server says 415", false)
	g.group.Set = plain
	g.group.Set.Method = "PATCH"
	g.fails("method", incident.Acted, "405", false)
	g.group.Set = plain
	g.group.Set.Body = `{"spec": {"replicas": ${count}, "cores": 2}}`
	g.fails("field", incident.Acted, "400", false)
	g.group.Set = plain
	g.server.most = 4
	g.fails("more than it may", incident.Acted, "422", false)
	g.server.most = 20
	g.server.tagged = "version"
	g.fails("without a version", incident.Acted, "409", false)
	g.server.tagged = ""
	g.counts("refused", 3)
}

// TestSomebodyElse changes the count at the worst moments, and wins.
func TestSomebodyElse(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	gets := 0
	g.server.disturb = func(s *autoscaler, q *http.Request) {
		if gets++; gets == 3 { // after those of the plan and of the intent
			s.change("workers", 9)
		}
	}
	g.fails("between intent and order", incident.Acted, "somebody changed the count from 3 to 9 meanwhile", false)
	g.counts("theirs", 9)
	g.server.tagged = "etag"
	g.server.change("workers", 3)
	g.server.disturb = func(s *autoscaler, q *http.Request) {
		if q.Method == http.MethodPut {
			s.change("workers", 9)
		}
	}
	g.fails("between question and order", incident.Acted, "412 Precondition Failed: somebody else", false)
	g.counts("theirs", 9)
	g.server.disturb = nil
	g.server.change("workers", 3)
	a := g.acts()
	g.counts("ours", 5, 5)
	g.server.change("workers", 6)
	_, err := g.Undo(t.Context(), a.ID)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || refusal.Temporary || !strings.Contains(err.Error(), "has 6 instances, and not the 5") {
		t.Errorf("taken back: %v", err)
	}
	g.counts("theirs", 6)
}

// TestAtOnce: whatever number of hosts asks for six at the same moment, the group has six, and was told once.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.server.tagged = "etag"
	g.args.By, g.args.To = 0, 6
	var all sync.WaitGroup
	for range 8 {
		host := &rig{t: t, server: g.server, group: g.group, args: g.args, journal: acttest.OpenJournal(t, t.TempDir())}
		host.Runner = host.runner()
		all.Go(func() { _, _ = host.run() })
	}
	all.Wait()
	g.counts("at once", 6, 6)
}

// TestLostAnswer: the count tells what became of an order that nobody answered. It is never sent again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, lose := range []string{"after", "502"} {
		g := newRig(t)
		g.server.lose = lose
		a := g.acts()
		g.counts(lose, 5, 5)
		if _, err := g.Undo(t.Context(), a.ID); err != nil {
			t.Errorf("%s: taken back: %v", lose, err)
		}
		g.counts(lose, 3, 3)
	}
	g := newRig(t)
	g.server.lose = "hang"
	s, a := acttest.Stage(t, g.kind, g.request())
	ctx, cancel := context.WithCancel(t.Context())
	g.server.with(func() {
		g.server.disturb = func(_ *autoscaler, q *http.Request) {
			if q.Method == http.MethodPut {
				cancel() // the time of the action is over once the order has arrived
			}
		}
	})
	g.must(g.kind.Act(ctx, s))
	g.counts("hangs", 5, 5)
	g.server.Close()
	if err := g.kind.Undo(t.Context(), a); err == nil || errors.As(err, new(*kind.Refusal)) {
		t.Errorf("taken back when nobody listens: %v", err)
	}
}

func TestLostOrder(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.server.lose = "before"
	a := g.fails("lost", incident.Unknown, "the count is 3", true)
	g.counts("lost", 3)
	_, err := g.Undo(t.Context(), a.ID)
	g.must(err)
	g.counts("taken back", 3)
}

func TestOrderWithoutEffect(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	g.server.lose = "ignored"
	g.fails("ignored", incident.Acted, "the server took 5, and its count is 3", true)
	g.counts("ignored", 3)
}

// TestLostQuestion: an answer that is lost before the order is no lost order.
func TestLostQuestion(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	s, _ := acttest.Stage(t, g.kind, g.request())
	g.server.disturb = func(*autoscaler, *http.Request) { panic(http.ErrAbortHandler) }
	if err := g.kind.Act(t.Context(), s); err == nil || errors.Is(err, kind.ErrLost) || s.Undo != nil {
		t.Errorf("%v, undo %v", err, s.Undo)
	}
	g.counts("lost", 3)
}

// TestDies: the next agent finds out by the count, whatever its configuration is, and can take it back.
func TestDies(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	settles := func(name string, a incident.Attempt, want incident.Phase) *incident.Attempt {
		t.Helper()
		a.Phase = incident.Intended
		g.must(g.journal.PutAttempt(&a))
		next := g.runner()
		settled := next.Settle(t.Context())
		if len(settled) != 1 || settled[0].Phase != want || (len(settled[0].Undo) == 0) != (want == incident.NotDone) {
			t.Fatalf("%s: %+v", name, settled)
		}
		return &settled[0]
	}
	s, a := acttest.Stage(t, g.kind, g.request())
	settles("before", *a, incident.NotDone)
	g.must(g.kind.Act(t.Context(), s))
	g.counts("act", 5, 5)
	back := settles("after", *a, incident.Acted)
	g.group = nil
	_, err := g.runner().Undo(t.Context(), back.ID)
	g.must(err)
	g.counts("back", 3, 3)
	g.server.change("workers", 9)
	a.ID = "another" // what was taken back is over
	settles("somebody changed it", *a, incident.Unknown)
	g.server.Close()
	if phase, why := g.kind.Settle(t.Context(), a); phase != incident.Unknown || !strings.Contains(why, "read the count") {
		t.Errorf("without the server: %s, %s", phase, why)
	}
	if phase, _ := (scalegroup.Kind{}).Settle(t.Context(), &incident.Attempt{}); phase != incident.Unknown {
		t.Errorf("without a record: %s", phase)
	}
}
