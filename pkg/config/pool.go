package config

import (
	"cmp"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/jsonpath"
)

// poolVariants are the keys that say where a pool's figures come from, of which it has exactly one.
var poolVariants = []variant{
	{"pgbouncer", []string{"database", "user", "password_file", "secure", "ca_file"}},
	{"haproxy", []string{"backend"}},
	{"postgres", []string{"database", "user", "password_file", "secure", "ca_file"}},
	{"http", []string{"fields"}}, // and the block reset
}

// poolFields are what a JSON document may have: signals, and what signals are made of.
var poolFields = []string{"active", "idle", "waiting", "used_ratio", "max_wait", "size", "max_wait_ms"}

func poolKind() *kind {
	return &kind{
		labels: []string{"name"},
		blocks: []string{"reset"},
		attrs: []attr{
			{name: "pgbouncer", typ: text}, {name: "haproxy", typ: text}, {name: "postgres", typ: text},
			{name: "http", typ: text},
			{name: "database", typ: text}, {name: "user", typ: text, def: defaults.PoolUser},
			{name: "password_file", typ: text}, {name: "secure", typ: boolean}, {name: "ca_file", typ: text},
			{name: "backend", typ: text}, {name: "fields", typ: dict},
			{name: "every", typ: duration, def: defaults.PoolEvery, least: int64(fastest), most: int64(time.Hour)},
		},
	}
}

func (l *loader) decodePool(b *block) *Pool {
	p := &Pool{
		Name: b.name("pool", checkWord), Range: b.header,
		PgBouncer: b.checked("pgbouncer", checkPostgres), Postgres: b.checked("postgres", checkPostgres),
		Database: b.text("database"),
		HAProxy:  b.checked("haproxy", checkSocket), Backend: b.checked("backend", checkName),
		HTTP: b.checked("http", checkURL), Fields: b.fields(), Every: b.duration("every"),
	}
	b.variants(poolVariants)
	if r := b.single("reset"); r != nil {
		p.Reset = l.decodeReset(r)
		if p.HTTP == "" {
			l.fail(r.header, "Not for this pool", "reset is for pools with http; others are reset by what they are.")
		}
	}
	if p.PgBouncer != "" || p.Postgres != "" {
		p.User, p.Secure, p.CAFile = b.text("user"), b.boolean("secure"), b.checked("ca_file", checkAbsolute)
	}
	if b.has("password_file") {
		p.PasswordFile, _ = b.secretFile("password_file")
	}
	address := cmp.Or(p.PgBouncer, p.Postgres)
	b.aboutTLS(address)
	b.unread(address)
	for _, need := range []struct{ key, its string }{{"haproxy", "backend"}, {"postgres", "database"}, {"http", "fields"}} {
		if b.has(need.key) && !b.has(need.its) {
			b.l.fail(b.header, "Missing key", "%s needs %q.", upper(b.what), need.its)
		}
	}
	return p
}

// fields reads the paths of a JSON document.
func (b *block) fields() map[string]string {
	paths := b.dict("fields")
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if !slices.Contains(poolFields, name) {
			b.fail("fields", "Unknown word", "fields cannot have %q.%s", name, oneOf(name, poolFields))
		} else if _, err := jsonpath.Parse(paths[name]); err != nil {
			b.fail("fields", "Wrong value", "%s: %s.", name, err)
		}
	}
	for _, twins := range [][2]string{{"max_wait", "max_wait_ms"}, {"used_ratio", "size"}} {
		if paths[twins[0]] != "" && paths[twins[1]] != "" {
			b.fail("fields", "Two sources", "fields takes %s or %s, not both.", twins[0], twins[1])
		}
	}
	if paths["size"] != "" && paths["active"] == "" {
		b.fail("fields", "Missing key", "size is there for used_ratio, which is active / size: fields needs active.")
	}
	if b.has("fields") && len(paths) == 0 {
		b.fail("fields", "Empty", "fields names no signal.")
	}
	return paths
}

// Source is the key of its block that says where the pool's figures come from: "pgbouncer", "haproxy", "postgres" or "http".
func (p *Pool) Source() string {
	switch {
	case p.PgBouncer != "":
		return "pgbouncer"
	case p.HAProxy != "":
		return "haproxy"
	case p.Postgres != "":
		return "postgres"
	}
	return "http"
}

// Signals are those that the pool gives.
func (p *Pool) Signals() []string {
	switch {
	case p.HAProxy != "":
		return []string{"active", "idle", "waiting", "used_ratio", "up_ratio"}
	case p.HTTP == "":
		return []string{"active", "idle", "waiting", "used_ratio", "max_wait"}
	}
	var given []string
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		switch name {
		case "size":
			name = "used_ratio"
		case "max_wait_ms":
			name = "max_wait"
		}
		given = append(given, name)
	}
	return given
}

// aboutTLS sees to it that what is said of TLS has an effect, if the block is about a server at the address.
func (b *block) aboutTLS(address string) {
	switch {
	case address == "":
	case b.boolean("secure") && (strings.HasPrefix(address, "/") || strings.HasPrefix(address, "unix:")):
		b.fail("secure", "No effect", "secure is for a server at host:port; %s is a socket of this host.", address)
	case b.has("ca_file") && !b.boolean("secure"):
		b.fail("ca_file", "No effect", "ca_file says who is trusted when secure = true.")
	}
}

// unread refuses to send a password to an address, which may be "", on a way where others could read it.
func (b *block) unread(address string) {
	host, _, err := net.SplitHostPort(address) // one that is wrong is told as such
	local := err != nil || strings.HasPrefix(address, "/") || strings.HasPrefix(address, "unix:") || onLoopback(host)
	if b.has("password_file") && !b.boolean("secure") && !local {
		b.fail("password_file", "Plain text",
			"The password could be read on its way to %s, which is not a loopback address: write secure = true.", host)
	}
}

// checkPostgres is for PostgreSQL, and PgBouncer's console: the path of a socket, or host:port.
func checkPostgres(s string) string {
	if strings.HasPrefix(s, "/") {
		if wrong := checkAbsolute(s); wrong != "" || !strings.HasPrefix(filepath.Base(s), ".s.PGSQL.") {
			return s + " is not the path of a socket of PostgreSQL or PgBouncer (…/.s.PGSQL.PORT)"
		}
		return ""
	}
	return checkAddress(s)
}

// checkSocket is for the path of a socket, or host:port.
func checkSocket(s string) string {
	if strings.HasPrefix(s, "/") {
		return checkAbsolute(s)
	}
	return checkAddress(s)
}
