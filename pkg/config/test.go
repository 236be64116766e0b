package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/signal"
)

// maxTest bounds the time of a test: what a decision looks back on at most, and a day more.
const maxTest = 2 * day

func testKinds(ks kinds) {
	ks["test"] = &kind{
		labels: []string{"name"}, blocks: []string{"change", "after", "at"},
		attrs: []attr{
			{name: "series", typ: dict, required: true},
			{name: "every", typ: duration, def: time.Second, least: int64(time.Second), most: int64(time.Hour)},
			{name: "start", typ: text},
			{name: "labels", typ: dict},
			{name: "autonomy", typ: text, def: string(Full), words: autonomies(), later: autonomiesLater()},
		},
	}
	ks["change"] = &kind{
		labels: []string{"time"},
		attrs: []attr{
			{name: "kind", typ: text, def: "deployment", words: signal.ChangeKinds()}, {name: "service", typ: text},
		},
	}
	ks["after"] = &kind{
		labels: []string{"remedy"},
		attrs: []attr{
			{name: "takes", typ: duration, most: int64(time.Hour)}, {name: "fails", typ: text}, {name: "series", typ: dict},
		},
	}
	ks["at"] = &kind{
		labels: []string{"time"},
		attrs: []attr{
			{name: "firing", typ: texts}, {name: "pending", typ: texts}, {name: "blind", typ: texts},
			{name: "attempts", typ: texts}, {name: "incidents", typ: dict}, {name: "would", typ: texts},
			{name: "said", typ: texts},
		},
	}
}

// testDraft is a test whose names are not resolved yet.
type testDraft struct {
	*Test
	series  []courseDraft
	changes []word // the services of Changes, "" is the host
	after   []afterDraft
	at      []atDraft
}

type courseDraft struct {
	name, values word
	every        time.Duration
}

type afterDraft struct {
	*TestAfter
	remedy word
	series []courseDraft
}

type atDraft struct {
	*TestAt
	alerts, attempts, would []word
	incidents               []pair
}

func (l *loader) decodeTest(b *block) {
	t := &Test{Name: b.labels[0], Start: TestStart, Labels: b.dict("labels"), Autonomy: Autonomy(b.text("autonomy")),
		Range: b.header}
	l.unique("test", "", t.Name, b.labelAt)
	if b.has("start") {
		start, err := time.Parse(time.RFC3339, b.text("start"))
		if err != nil {
			b.fail("start", "Not a moment", "start is a moment such as \"2026-03-02T09:30:00+01:00\".")
		}
		t.Start = start
	}
	d := &testDraft{Test: t, series: b.courses(b.duration("every"))}
	for _, n := range b.blocks("change") {
		c := TestChange{At: n.moment(0), Kind: n.text("kind"), Service: n.text("service")}
		t.Changes = append(t.Changes, c)
		d.changes = append(d.changes, word{c.Service, n.at("service")})
	}
	for _, n := range b.blocks("after") {
		a := &TestAfter{Remedy: n.labels[0], Takes: n.duration("takes"), Fails: n.text("fails"), Range: n.header}
		d.after = append(d.after, afterDraft{a, word{n.labels[0], n.labelAt}, n.courses(b.duration("every"))})
		t.After = append(t.After, a)
	}
	for _, n := range b.blocks("at") {
		d.at = append(d.at, l.decodeAt(n))
	}
	if len(d.at) == 0 {
		l.fail(b.header, "Nothing expected", "A test needs an at block that says what must be so, and when.")
	}
	slices.SortStableFunc(d.at, func(a, b atDraft) int { return cmp.Compare(a.At, b.At) })
	for _, a := range d.at {
		t.At = append(t.At, a.TestAt)
	}
	l.tests = append(l.tests, d)
}

// courses reads the key series.
func (b *block) courses(every time.Duration) []courseDraft {
	var out []courseDraft
	for _, p := range b.pairs("series") {
		out = append(out, courseDraft{p.key, p.value, every})
	}
	return out
}

// moment reads the label of a block as the time since the beginning of its test.
func (b *block) moment(least time.Duration) time.Duration {
	d, err := time.ParseDuration(b.labels[0])
	if err != nil || d < least || d > maxTest || d%time.Second != 0 {
		what, _, _ := strings.Cut(b.what, " ")
		b.l.fail(b.labelAt, "Not a moment", "%s is followed by the time since the beginning of the test in whole seconds, "+
			"such as \"45s\" or \"10m\", at most %s.", what, defaults.Duration(maxTest))
	}
	return d
}

func (l *loader) decodeAt(b *block) atDraft {
	at := &TestAt{At: b.moment(time.Second), Range: b.header, Said: plain(b.texts("said"))}
	if len(b.content.Attributes) == 0 {
		l.fail(b.header, "Nothing expected", "%s says nothing.", upper(b.what))
	}
	draft := atDraft{TestAt: at, incidents: b.pairs("incidents")}
	at.Incidents = make(map[string]string, len(draft.incidents))
	for _, p := range draft.incidents {
		at.Incidents[p.key.text] = p.value.text
	}
	var found []word
	at.Firing, found = b.names("firing")
	draft.alerts = append(draft.alerts, found...)
	at.Pending, found = b.names("pending")
	draft.alerts = append(draft.alerts, found...)
	at.Blind, found = b.names("blind")
	draft.alerts = append(draft.alerts, found...)
	at.Attempts, draft.attempts = b.names("attempts")
	at.Would, draft.would = b.names("would")
	return draft
}

// names reads a list for which empty is something else than absent.
func (b *block) names(key string) (*Names, []word) {
	if !b.has(key) {
		return nil, nil
	}
	found := b.texts(key)
	return &Names{List: plain(found), Range: b.at(key)}, found
}
