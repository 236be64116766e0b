package config

import "github.com/hashicorp/hcl/v2"

// bound is how many blocks of one type a configuration may have, in all files and services together.
type bound struct {
	most int
	hint string // what to do instead, as a sentence behind another; "" is nothing
}

// bounds are far above what a host can use, and keep it from taking what it has not: each of these blocks costs memory,
// and most of them work again and again.
var bounds = map[string]bound{
	"probe":   {most: 1000},
	"scrape":  {most: 256},
	"statsd":  {most: 64},
	"pool":    {most: 256},
	"cache":   {most: 256},
	"circuit": {most: 256},
	"group":   {most: 256},
	"log":     {64, ` One expression can look for several words: "this|that".`},
	"slo":     {most: 64},
	"context": {most: 64},
	"field":   {most: 1000},
	"rule":    {most: 2000},
}

// otherwise is the bound of every other type of block.
const otherwise = 20_000

// count notes that the configuration has one more block of a type, and says once that there are too many.
func (l *loader) count(block string, at hcl.Range) {
	b, named := bounds[block]
	if !named {
		b.most = otherwise
	}
	if l.counts[block]++; l.counts[block] == b.most+1 {
		l.fail(at, "Too many blocks", "A configuration has at most %d blocks %q, in all its files and services.%s",
			b.most, block, b.hint)
	}
}
