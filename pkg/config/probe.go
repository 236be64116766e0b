package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// probeVariants are the keys that say what a probe asks, of which it has exactly one.
var probeVariants = []variant{
	{"http", []string{"status", "body"}},
	{"tcp", nil},
	{"exec", nil},
	{"grpc", []string{"health", "secure"}},
	{"dns", []string{"server", "type", "answers"}},
	{"tls", []string{"min_left", "server_name", "ca_file"}},
	{"postgres", []string{"database", "user", "password_file", "secure", "ca_file"}},
	{"redis", []string{"user", "password_file", "secure"}},
}

var recordTypes = []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"}

func probeKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "http", typ: text}, {name: "tcp", typ: text}, {name: "exec", typ: texts}, {name: "grpc", typ: text},
			{name: "dns", typ: text}, {name: "tls", typ: text}, {name: "postgres", typ: text}, {name: "redis", typ: text},
			{name: "status", typ: integers, least: 100, most: 599},
			{name: "body", typ: text},
			{name: "health", typ: text},
			{name: "server", typ: text},
			{name: "type", typ: text, def: defaults.ProbeDNSType, words: recordTypes},
			{name: "answers", typ: texts},
			{name: "min_left", typ: duration, def: defaults.ProbeTLSMinLeft, most: int64(10 * 365 * day)},
			{name: "server_name", typ: text}, {name: "ca_file", typ: text},
			{name: "database", typ: text, def: defaults.ProbeSQLDatabase},
			{name: "user", typ: text}, {name: "password_file", typ: text}, {name: "secure", typ: boolean},
			{name: "every", typ: duration, def: defaults.ProbeEvery, least: int64(fastest), most: int64(time.Hour)},
			{name: "timeout", typ: duration, def: defaults.ProbeTimeout,
				least: int64(10 * time.Millisecond), most: int64(time.Minute)},
			{name: "misses", typ: integer, def: defaults.ProbeMisses, least: 1, most: 100},
		},
	}
}

func (l *loader) decodeProbe(b *block) *Probe {
	p := &Probe{
		Name: b.name("probe", checkWord), Range: b.header,
		HTTP: b.checked("http", checkURL), TCP: b.checked("tcp", checkDial), Exec: b.command("exec", ActionProbe),
		Status: b.integers("status"), Body: b.text("body"),
		GRPC: b.checked("grpc", checkDial), Health: b.checked("health", checkHealth),
		TLS: b.checked("tls", checkAddress), TLSName: b.checked("server_name", checkHost),
		Postgres: b.checked("postgres", checkPostgres), Redis: b.checked("redis", checkDial),
		User: b.text("user"), Secure: b.boolean("secure"), CAFile: b.checked("ca_file", checkAbsolute),
		Every: b.duration("every"), Misses: b.integer("misses"),
	}
	b.variants(probeVariants)
	b.dns(p)
	if b.has("tls") {
		p.MinLeft = b.duration("min_left")
		if !b.has("every") {
			p.Every = defaults.ProbeTLSEvery
		}
	}
	p.Timeout = b.patience(p.Every)
	if b.has("postgres") {
		p.Database = b.text("database")
		if p.User == "" {
			p.User = defaults.ProbeSQLUser
		}
	}
	if b.has("password_file") {
		p.PasswordFile, _ = b.secretFile("password_file")
	}
	b.aboutTLS(p.Postgres)
	b.unread(cmp.Or(p.Postgres, p.Redis))
	if len(p.Body) > maxBody {
		b.fail("body", "Too long", "body has at most %d bytes.", maxBody)
	}
	return p
}

// maxBody bounds the text that an HTTP probe looks for.
const maxBody = 1024

// dns reads what only a probe of DNS has.
func (b *block) dns(p *Probe) {
	if !b.has("dns") {
		return
	}
	p.DNS, p.Server, p.Type = b.checked("dns", checkDomain), b.checked("server", checkAddress), b.text("type")
	if !b.has("server") {
		b.l.fail(b.header, "Missing key", "%s needs \"server\", the address of the DNS server that is asked.", upper(b.what))
	}
	for _, w := range b.texts("answers") {
		ip, err := netip.ParseAddr(w.text)
		if p.Type == "A" && (err != nil || !ip.Is4()) || p.Type == "AAAA" && (err != nil || !ip.Is6() || ip.Zone() != "") {
			b.l.fail(w.at, "Wrong value", "An answer of type %s is an address, which %q is not.", p.Type, w.text)
		}
		p.Answers = append(p.Answers, w.text)
	}
}

var domainName = regexp.MustCompile(`^([A-Za-z0-9_*]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_*]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`)

// checkDomain is for names in DNS.
func checkDomain(s string) string {
	if len(s) > 253 || !domainName.MatchString(s) {
		return fmt.Sprintf("%.300q is no name in DNS: labels of up to 63 letters, digits, - and _, with dots between them", s)
	}
	return ""
}

// checkHealth is for the name of a service in gRPC.
func checkHealth(s string) string {
	if len(s) > 253 || slices.ContainsFunc([]rune(s), func(r rune) bool { return r <= ' ' || r == 127 }) {
		return "the name of a gRPC service has up to 253 letters and no spaces"
	}
	return ""
}
