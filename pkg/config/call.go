package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/salveops/salve/pkg/remedy"
)

// Call is a request over HTTP that a remedy may send. It holds no secret, so that a record may have it.
type Call struct {
	URL    string `json:"url"`
	Method string `json:"method"`
	Type   string `json:"type,omitempty"` // media type of the body
	Body   string `json:"body,omitempty"` // "": none
	User   string `json:"user,omitempty"` // "": what is in SecretFile is a bearer token
	// SecretFile holds User's password, or the token; was readable when loaded. "": nobody has to prove who asks.
	SecretFile string `json:"secret_file,omitempty"`
	CAFile     string `json:"ca_file,omitempty"` // authorities that may vouch for the server; "": those of the system
}

// Facts that requests to a group may hold, as ${NAME}.
const (
	FactCount   = "count"   // how many instances there are to be: a whole number
	FactVersion = "version" // what the group's version was when it was read, as it stands in JSON
)

// callAttrs are the keys of a block about its request; methods are the ones that it may have, the first by default.
func callAttrs(methods ...string) []attr {
	return []attr{
		{name: "method", typ: text, def: methods[0], words: methods}, {name: "type", typ: text, def: "application/json"},
		{name: "body", typ: text}, {name: "user", typ: text}, {name: "password_file", typ: text}, {name: "token_file", typ: text},
		{name: "ca_file", typ: text},
	}
}

// call reads the request of a block to the URL that stands in urlKey. Its body may hold these facts, as remedy.Fill reads them;
// without any it is sent as it is.
func (b *block) call(urlKey, to string, facts ...string) Call {
	c := Call{
		URL: to, Method: b.text("method"), User: b.checked("user", checkUser), SecretFile: b.credential(),
		CAFile: b.checked("ca_file", checkAbsolute),
	}
	if b.has("type") || b.has("body") {
		c.Type = b.checked("type", checkType)
	}
	if b.has("type") && !b.has("body") {
		b.fail("type", "No effect", "type says of what sort the body is, and there is none.")
	}
	check := func(s string) string {
		if isJSON(c.Type) && !json.Valid([]byte(s)) {
			return fmt.Sprintf("it is no JSON once its facts are filled in, which it must be with type = %q", c.Type)
		}
		return ""
	}
	if len(facts) > 0 {
		c.Body = b.filled("body", facts, check)
	} else if b.has("body") {
		c.Body = b.checked("body", check)
	}
	b.unreadable(urlKey, c)
	if strings.HasPrefix(to, "http:") && b.has("ca_file") {
		b.fail("ca_file", "No effect", "ca_file says who is trusted with https, and this is http.")
	}
	return c
}

// filled reads a text that may hold facts, and has it checked with some that could be meant.
func (b *block) filled(key string, facts []string, check func(string) string) string {
	_, set := b.spec(key, text)
	if set == nil {
		return ""
	}
	w, ok := b.template(set.Expr, facts)
	if !ok {
		return ""
	}
	plain, err := remedy.Fill(w.text, map[string]string{FactCount: "1", FactVersion: `"x"`})
	if err != nil {
		b.fail(key, "Wrong template", "%s: %s.", key, err)
	} else if wrong := check(plain); wrong != "" {
		b.fail(key, "Wrong value", "%s: %s.", key, wrong)
	}
	return w.text
}

// unreadable sees to it that nobody on the way can read what proves who asks.
func (b *block) unreadable(urlKey string, c Call) {
	u, err := url.Parse(c.URL)
	if err == nil && u.Scheme == "http" && c.SecretFile != "" && !onLoopback(u.Hostname()) {
		b.fail(urlKey, "Plain text", "What proves who asks could be read on its way to %s, which is not a loopback address: use https.",
			u.Hostname())
	}
}

// checkType is for media types.
func checkType(s string) string {
	kind, sub, ok := strings.Cut(s, "/")
	if !ok || kind == "" || sub == "" || len(s) > maxName*2 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Sprintf("%q is no media type, such as application/json", s)
	}
	return ""
}

func isJSON(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, ";")
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}
