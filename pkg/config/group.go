package config

import (
	"net/http"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/jsonpath"
)

// Group is what an autoscaler keeps a number of instances of.
type Group struct {
	Name    string
	URL     string // a GET is answered with a JSON document
	Count   string // path of the count of instances in it
	Version string // path of what changes with each change, which Set has as ${version}; "": it has none
	Set     Call   // sets the count; by its URL, or its body, or both, in which ${count} stands. Its account is that of the GET, too
	Range   hcl.Range
}

func groupKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: append([]attr{
			{name: "url", typ: text, required: true}, {name: "count", typ: text, required: true}, {name: "version", typ: text},
			{name: "set", typ: text},
		}, callAttrs("PUT", "POST", "PATCH")...),
	}
}

func (l *loader) decodeGroup(b *block) *Group {
	g := &Group{
		Name: b.name("group", checkWord), Range: b.header, URL: b.checked("url", checkURL),
		Count: b.checked("count", checkPath), Version: b.checked("version", checkPath),
	}
	where, to := "url", g.URL
	if b.has("set") {
		where, to = "set", b.filled("set", []string{FactCount}, checkURL)
	}
	facts := []string{FactCount}
	if b.has("version") {
		facts = append(facts, FactVersion)
	}
	if g.Set = b.call(where, to, facts...); where == "set" {
		b.unreadable("url", g.Read())
	}
	has := func(fact string) bool { return strings.Contains(g.Set.URL+g.Set.Body, "${"+fact+"}") }
	switch {
	case g.Set.URL == "" || b.has("body") && g.Set.Body == "": // what is missing may be in what could not be read
	case !has(FactCount):
		l.fail(b.header, "Missing fact", "%s never says how many instances there are to be: put ${%s} where the server expects the number, "+
			"in body or set.", upper(b.what), FactCount)
	case g.Version != "" && !strings.Contains(g.Set.Body, "${"+FactVersion+"}"):
		b.fail("version", "No effect", "version is for a body that has it as ${%s}. An ETag needs no key: it is sent back as If-Match.",
			FactVersion)
	}
	return g
}

// Read is the request that is answered with the count.
func (g *Group) Read() Call {
	return Call{URL: g.URL, Method: http.MethodGet, User: g.Set.User, SecretFile: g.Set.SecretFile, CAFile: g.Set.CAFile}
}

// checkPath is for the path of a value in a JSON document.
func checkPath(s string) string {
	if _, err := jsonpath.Parse(s); err != nil {
		return err.Error()
	}
	return ""
}

// Group is the service's group of that name, or nil.
func (s *Service) Group(name string) *Group {
	return named(s.Groups, name, func(g *Group) string { return g.Name })
}

// checkGroup reports a group that a remedy names in vain.
func (l *loader) checkGroup(d *remedyDraft) {
	ofService(l, d, func(s *Service) []*Group { return s.Groups }, func(g *Group) string { return g.Name })
}
