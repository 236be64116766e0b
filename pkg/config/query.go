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

// fromController is the only other place that answers come from.
const fromController = "controller"

// queryVariants are the keys that say who is asked.
var queryVariants = []variant{
	{"url", []string{"expr", "timeout", "host_label", "user", "password_file", "token_file"}}, {"from", nil},
}

func queryKind() *kind {
	return &kind{labels: []string{"name"}, attrs: append(serverAttrs(),
		attr{name: "from", typ: text, words: []string{fromController}},
		attr{name: "unit", typ: text, def: defaults.QueryUnit, words: slices.Sorted(maps.Keys(queryDims))})}
}

// fleetQueryKind is the block in controller.hcl.
func fleetQueryKind() *kind {
	k := &kind{labels: []string{"name"}, attrs: serverAttrs()}
	k.refuse = []refusal{
		{name: "from", here: true, why: "The controller asks a server."},
		{name: "unit", here: true, why: "It belongs in the query block of the hosts' rules."},
	}
	return k
}

// serverAttrs are the keys about a server and what it is asked.
func serverAttrs() []attr {
	return []attr{
		{name: "url", typ: text}, {name: "expr", typ: text},
		{name: "every", typ: duration, def: defaults.QueryEvery, least: int64(time.Second), most: int64(time.Hour)},
		{name: "timeout", typ: duration, def: defaults.QueryWait, least: int64(10 * time.Millisecond), most: int64(time.Minute)},
		{name: "window", typ: duration, least: int64(time.Second), most: int64(longestWindow)},
		{name: "host_label", typ: text},
		{name: "user", typ: text}, {name: "password_file", typ: text}, {name: "token_file", typ: text},
	}
}

func (l *loader) decodeQuery(b *block) *Query {
	b.variants(queryVariants)
	q := &Query{Name: b.name("query", checkWord), Range: b.header, Dim: queryDims[b.text("unit")], Every: b.duration("every")}
	switch from := b.text("from"); {
	case !b.has("from"):
		l.decodeServer(b, q)
	case from == "": // it is another word
	case l.agent.Controller == nil && !l.rulesOnly:
		b.fail("from", "No controller", "The host has no controller block: it works alone.")
	case b.has("window"):
		q.Window = b.duration("window")
	default:
		q.Window = promql.Lookback
	}
	return q
}

// maxQueries bounds what the leader asks.
const maxQueries = 100

// decodeFleetQuery reads a block of controller.hcl.
func (l *loader) decodeFleetQuery(b *block) *Query {
	if len(l.file.Queries) == maxQueries {
		l.fail(b.header, "Too many queries", "A controller asks at most %d queries.", maxQueries)
	}
	q := &Query{Name: b.name("query", checkWord), Range: b.header, Every: b.duration("every")}
	if !b.has("url") {
		l.fail(b.header, "Missing key", "%s needs \"url\".", upper(b.what))
	}
	l.decodeServer(b, q)
	return q
}

// decodeServer reads who is asked, and for what.
func (l *loader) decodeServer(b *block, q *Query) {
	s := &q.Server
	s.URL, s.Expr, s.Timeout = b.checked("url", checkURL), b.text("expr"), b.patience(q.Every)
	s.Label, s.User, s.SecretFile = b.checked("host_label", checkLabel), b.checked("user", checkUser), b.credential()
	if !b.has("expr") {
		l.fail(b.header, "Missing key", "%s needs \"expr\".", upper(b.what))
	}
	q.Window = b.reach(s.Expr)
	if u, err := url.Parse(s.URL); err == nil && s.SecretFile != "" && u.Scheme == "http" && !onLoopback(u.Hostname()) {
		l.warn(b.at("url"), "Plain text", "What proves who asks would cross the network as plain text: use https.")
	}
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
