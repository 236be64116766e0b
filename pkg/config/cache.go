package config

import (
	"net/url"
	"strings"
)

// cacheVariants are the keys that say what a cache is one of, of which it has exactly one.
var cacheVariants = []variant{
	{"redis", []string{"database", "user", "password_file", "secure", "ca_file"}},
	{"memcached", nil},
	{"nginx", nil},
	{"purge", []string{"method", "host", "paths", "remote"}},
}

// Bounds of what people set up.
const (
	mostDatabase = 9999 // number of a database of Redis
	mostPaths    = 1000 // that one cache declares
)

func cacheKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "redis", typ: text}, {name: "memcached", typ: text}, {name: "nginx", typ: text}, {name: "purge", typ: text},
			{name: "database", typ: integer, most: mostDatabase}, {name: "user", typ: text}, {name: "password_file", typ: text},
			{name: "secure", typ: boolean}, {name: "ca_file", typ: text},
			{name: "method", typ: text, def: "PURGE", words: []string{"PURGE", "BAN"}}, {name: "host", typ: text},
			{name: "paths", typ: texts}, {name: "remote", typ: boolean},
			{name: "private", typ: boolean},
		},
	}
}

func (l *loader) decodeCache(b *block) *Cache {
	c := &Cache{
		Name: b.name("cache", checkWord), Range: b.header,
		Redis: b.checked("redis", checkDial), Database: b.integer("database"), User: b.text("user"),
		Secure: b.boolean("secure"), CAFile: b.checked("ca_file", checkAbsolute),
		Memcached: b.checked("memcached", checkDial), Nginx: b.checked("nginx", checkFolder),
		Purge: b.checked("purge", checkServer), Private: b.boolean("private"),
	}
	b.variants(cacheVariants)
	if b.has("password_file") {
		c.PasswordFile, _ = b.secretFile("password_file")
	}
	b.aboutTLS(c.Redis)
	b.unread(c.Redis)
	if c.Purge != "" {
		b.decodePurge(c)
	}
	return c
}

func (b *block) decodePurge(c *Cache) {
	c.Method, c.Host, c.Remote = b.text("method"), b.checked("host", checkHost), b.boolean("remote")
	paths := b.texts("paths")
	for _, w := range paths {
		if wrong := checkTarget(w.text); wrong != "" {
			b.l.fail(w.at, "Wrong value", "paths: %s.", wrong)
		}
		c.Paths = append(c.Paths, w.text)
	}
	if len(paths) == 0 || len(paths) > mostPaths {
		b.l.fail(b.header, "Out of bounds", "%s declares in paths which pages it may forget: from 1 to %d.", upper(b.what), mostPaths)
	}
	if u, err := url.Parse(c.Purge); err == nil && !onLoopback(u.Hostname()) && !c.Remote {
		b.fail("purge", "Another host", "%s is not a loopback address: write remote = true if that server is meant.", u.Hostname())
	}
}

// checkFolder is for a folder whose files may go.
func checkFolder(s string) string {
	if s == "/" {
		return "everything lies below /; name the folder itself"
	}
	return checkAbsolute(s)
}

// checkServer is for a URL that names a server and nothing of it.
func checkServer(s string) string {
	if wrong := checkURL(s); wrong != "" {
		return wrong
	}
	if u, err := url.Parse(s); err != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") {
		return "name the server alone, such as http://127.0.0.1:6081; its pages stand in paths"
	}
	return ""
}

// checkTarget is for the path of a page, with its query.
func checkTarget(s string) string {
	if _, err := url.ParseRequestURI(s); err != nil || !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "# ") {
		return "it must be a path, such as /products?page=1, as it stands in a request"
	}
	return ""
}
