package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/promql"
	"github.com/salveops/salve/pkg/signal"
)

// longestQuery bounds an expression.
const longestQuery = 4 << 10

// queryDims are the dimensions of answers, by unit.
var queryDims = map[string]signal.Dimension{
	"count": signal.Count, "ratio": signal.Ratio, "seconds": signal.Seconds, "bytes": signal.Bytes,
	"per_second": signal.PerSecond, "bytes_per_second": signal.BytesPerSecond,
}

func queryKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "url", typ: text, required: true}, {name: "expr", typ: text, required: true},
			{name: "unit", typ: text, def: defaults.QueryUnit, words: slices.Sorted(maps.Keys(queryDims))},
			{name: "every", typ: duration, def: defaults.QueryEvery, least: int64(time.Second), most: int64(time.Hour)},
			{name: "timeout", typ: duration, def: defaults.QueryWait,
				least: int64(10 * time.Millisecond), most: int64(time.Minute)},
			{name: "window", typ: duration, least: int64(time.Second), most: int64(longestWindow)},
			{name: "host_label", typ: text},
			{name: "user", typ: text}, {name: "password_file", typ: text}, {name: "token_file", typ: text},
		},
	}
}

func (l *loader) decodeQuery(b *block) *Query {
	q := &Query{
		Name: b.name("query", checkWord), Range: b.header,
		URL: b.checked("url", checkURL), Expr: b.text("expr"), Dim: queryDims[b.text("unit")], Every: b.duration("every"),
		HostLabel: b.checked("host_label", checkLabel), User: b.checked("user", checkUser),
	}
	q.Timeout = b.patience(q.Every)
	q.Window = b.reach(q.Expr)
	q.SecretFile = b.credential()
	if u, err := url.Parse(q.URL); err == nil && q.SecretFile != "" && u.Scheme == "http" && !onLoopback(u.Hostname()) {
		l.warn(b.at("url"), "Plain text", "What proves who asks would cross the network as plain text: use https.")
	}
	return q
}

// credential is the file of what proves who asks: user and password_file, or token_file; "": none of them is set.
func (b *block) credential() (file string) {
	for _, key := range b.set("password_file", "token_file") {
		file, _ = b.secretFile(key)
	}
	switch {
	case b.has("token_file") && len(b.set("user", "password_file")) > 0:
		b.fail("token_file", "Two sources", "%s takes user and password_file, or token_file, not both.", upper(b.what))
	case b.has("user") != b.has("password_file"):
		b.l.fail(b.header, "Missing key", "%s needs user and password_file, or neither of them.", upper(b.what))
	}
	return file
}

// checkUser is for names of basic authentication.
func checkUser(s string) string {
	if s == "" || len(s) > maxName || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 127 || r == ':' }) {
		return fmt.Sprintf("a user has up to %d letters, and no colon", maxName)
	}
	return ""
}

// checkLabel is for names of labels in PromQL.
func checkLabel(s string) string {
	if len(s) > maxName || !labelName.MatchString(s) {
		return fmt.Sprintf("%q is no name of a label: up to %d letters, digits and _", s, maxName)
	}
	return ""
}

// reach is how far an answer to the expression looks back.
func (b *block) reach(expr string) time.Duration {
	if len(expr) > longestQuery {
		b.fail("expr", "Too long", "expr has at most %d bytes; a recording rule of the server can have what is longer.", longestQuery)
	}
	if b.has("window") {
		return b.duration("window")
	}
	const say = "say with window how far an answer looks back"
	far, err := promql.Reach(expr)
	switch {
	case !b.has("expr"):
	case err != nil:
		b.fail("expr", "Cannot be followed", "expr: %s. If the server takes it, %s.", err, say)
	case far > longestWindow:
		b.fail("expr", "Out of bounds", "An answer looks back %s, more than %s. If most of that is there only to be compared with, %s.",
			defaults.Duration(far), defaults.Duration(longestWindow), say)
	}
	return far
}

// Signal is the name by which conditions know the answer.
func (q *Query) Signal() signal.Path { return signal.Path{Family: signal.Query, Field: q.Name} }

// query finds a query by name; nil if there is none.
func (a *Agent) query(name string) *Query {
	return named(a.Queries, name, func(q *Query) string { return q.Name })
}

// queries describes the answers to all queries as signals, by name.
func (a *Agent) queries() map[string]signal.Info {
	all := map[string]signal.Info{}
	for _, q := range a.Queries {
		in, _ := signal.Lookup(q.Signal())
		in.Dim, in.Every, in.Span = q.Dim, q.Every, q.Window
		all[q.Name] = in
	}
	return all
}
