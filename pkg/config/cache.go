package config

// cacheVariants are the keys that say what a cache is one of, of which it has exactly one.
var cacheVariants = []variant{
	{"redis", []string{"database", "user", "password_file", "secure", "ca_file"}},
	{"nginx", nil},
}

// mostDatabase is more than the number of any database of a Redis that people set up.
const mostDatabase = 9999

func cacheKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "redis", typ: text}, {name: "nginx", typ: text},
			{name: "database", typ: integer, most: mostDatabase}, {name: "user", typ: text}, {name: "password_file", typ: text},
			{name: "secure", typ: boolean}, {name: "ca_file", typ: text},
			{name: "private", typ: boolean},
		},
	}
}

func (l *loader) decodeCache(b *block) *Cache {
	c := &Cache{
		Name: b.name("cache", checkWord), Range: b.header,
		Redis: b.checked("redis", checkDial), Database: b.integer("database"), User: b.text("user"),
		Nginx: b.checked("nginx", checkFolder), Secure: b.boolean("secure"), CAFile: b.checked("ca_file", checkAbsolute), Private: b.boolean("private"),
	}
	b.variants(cacheVariants)
	if b.has("password_file") {
		c.PasswordFile, _ = b.secretFile("password_file")
	}
	b.aboutTLS(c.Redis)
	b.unread(c.Redis)
	return c
}

// checkFolder is for a folder whose files may go.
func checkFolder(s string) string {
	if s == "/" {
		return "everything lies below /; name the folder itself"
	}
	return checkAbsolute(s)
}
