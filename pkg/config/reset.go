package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Reset is the request that makes a service reset a pool of its own.
type Reset struct {
	Call
	// Status are those of an answer that say that it was done; nil: any 2xx.
	Status []int
	// Expect are texts or numbers that must stand at these paths of the answer, a JSON document, for it to be done; nil: none.
	Expect     map[string]string
	Repeatable bool // a request that may have arrived may be sent again
	Range      hcl.Range
}

func resetKind() *kind {
	return &kind{attrs: append([]attr{
		{name: "url", typ: text, required: true}, {name: "status", typ: integers, least: 200, most: 399},
		{name: "expect", typ: dict}, {name: "repeatable", typ: boolean},
	}, callAttrs("POST", "PUT", "PATCH", "DELETE", "GET")...)}
}

func (l *loader) decodeReset(b *block) *Reset {
	r := &Reset{
		Call: b.call("url", b.checked("url", checkURL)), Status: b.integers("status"), Expect: b.dict("expect"),
		Repeatable: b.boolean("repeatable"), Range: b.header,
	}
	for _, path := range slices.Sorted(maps.Keys(r.Expect)) {
		if wrong := checkPath(path); wrong != "" {
			b.fail("expect", "Wrong value", "expect: %s.", wrong)
		}
	}
	for key, n := range map[string]int{"status": len(r.Status), "expect": len(r.Expect)} {
		if b.has(key) && n == 0 {
			b.fail(key, "Empty", "%s is empty; leave it out.", key)
		}
	}
	return r
}
