package remedy

import (
	"fmt"

	"github.com/salveops/salve/pkg/defaults"
)

// CacheArgs are the arguments of clear_cache.
type CacheArgs struct {
	Cache  string // of the remedy's own service
	Prefix string // keys that begin with it go; "": those of All
	All    bool   // every key goes; never true beside a Prefix
	AtOnce bool   // with All: in one step, which no Rate holds back
	Rate   int    // keys a second, at most
	Most   int    // keys in one run, at most
}

// Names implements Args.
func (a *CacheArgs) Names() string { return a.Cache }

func clearCache() Spec {
	return Spec{
		Kind: ClearCache, Target: OnCache, Disruptive: true, Shared: true,
		Summary: "make a cache forget, a few keys at a time",
		Needs: "A user of Redis with the rights +info +dbsize +select +scan +unlink, +cluster|info in a cluster and +flushdb for " +
			"at_once, on the keys in question. For memcached, 1.6 or later without a login. For nginx, the right to write the " +
			"folders of its cache, which are its own alone (docs/caches.md). For what forgets by HTTP, that it takes PURGE or BAN from this host.",
		Worst: "what stands behind the cache is asked for everything at once. Keys go no faster than rate, with a pause after each " +
			"few that is at least as long as they took; the precondition says when what stands behind can take that. A Redis that " +
			"is a replica, loads its data or is in the middle of a failover is left alone; of a cluster, only the part of this node " +
			"is cleared. In memcached what was stored anew since the look at its keys stays. In a folder of nginx only files go that " +
			"are its by name and by content. By HTTP only paths are asked for that the cache declares.",
		Back: "Never: what is forgotten comes back as it is asked for.",
		Args: []Arg{
			{Name: "cache", Type: String, Required: true, Target: true, Help: "name of a cache block of the same service"},
			{Name: "prefix", Type: String, Help: "keys, or declared paths, that begin with this text go; *, ? and [ mean themselves"},
			{Name: "all", Type: Bool, Default: "false", Help: "every key of the database, every file, or every declared path goes; instead of prefix"},
			{Name: "at_once", Type: Bool, Default: "false", Help: "with all, for Redis and memcached: in one step (FLUSHDB ASYNC, flush_all), which rate does not hold back; " +
				"refused if there are more keys than most"},
			{Name: "rate", Type: Integer, Default: fmt.Sprint(defaults.CacheRate), Least: 1, Most: 100_000, Help: "keys a second, at most"},
			{Name: "most", Type: Integer, Default: fmt.Sprint(defaults.CacheMost), Least: 1, Most: 100_000_000, Help: "keys in one run, at most; the remedy's " +
				"timeout is the other bound"},
		},
		decode: func(r *reader) Args {
			a := &CacheArgs{
				Cache: r.text("cache"), Prefix: r.text("prefix"), All: r.boolean("all", false), AtOnce: r.boolean("at_once", false),
				Rate: r.integer("rate", defaults.CacheRate), Most: r.integer("most", defaults.CacheMost),
			}
			r.checkCache(a)
			return a
		},
	}
}

func (r *reader) checkCache(a *CacheArgs) {
	switch {
	case r.has("cache") && a.Cache == "":
		r.problem("cache", "the cache has no name")
	case a.All && r.has("prefix"):
		r.problem("prefix", "all = true stands for every key, so that a prefix means nothing beside it")
	case !a.All && a.Prefix == "":
		r.problem("prefix", "every key begins with an empty prefix: name one, or write all = true if that is meant")
	case a.AtOnce && !a.All:
		r.problem("at_once", "at_once empties the whole database, so it needs all = true")
	case a.AtOnce && r.has("rate"):
		r.problem("rate", "rate means nothing beside at_once = true, which is one step")
	}
}
