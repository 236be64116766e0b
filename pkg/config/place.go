package config

import (
	"net/netip"
	"strings"

	"github.com/salveops/salve/pkg/remedy"
)

// places are where that is what the remedy acts on. Pools, caches, circuits and groups have their names within a service: two that
// are one server are one, and two of the same name are two. What is nowhere else is its service's.
func (rem *Remedy) places(target string) []string {
	if rem.Service == nil {
		return []string{target}
	}
	var found []string
	switch a := rem.Args.(type) {
	case *remedy.PoolArgs:
		switch p := rem.pool(); {
		case p == nil || p.HAProxy != "": // its balancer is locked as a whole
		case p.Reset != nil:
			found = at(p.Reset.URL, "")
		default:
			found = at(p.PgBouncer+p.Postgres, p.Database)
		}
	case *remedy.CacheArgs:
		if c := named(rem.Service.Caches, a.Cache, func(c *Cache) string { return c.Name }); c != nil {
			found = at(c.Redis+c.Memcached+c.Nginx+c.Purge, "")
		}
	case *remedy.IsolateArgs:
		if c := rem.Service.Circuit(a.Circuit); c != nil {
			found = c.places()
		}
	case *remedy.GroupArgs:
		if g := rem.Service.Group(a.Group); g != nil {
			found = at(g.URL, "")
		}
	default:
		return []string{target}
	}
	if len(found) == 0 {
		return []string{rem.Service.Name + "/" + target}
	}
	return found
}

// places are all that the circuit cuts off; none if its HAProxy does.
func (c *Circuit) places() []string {
	found := at(c.File+c.On, "")
	for _, addr := range c.Addresses {
		for _, port := range c.Ports {
			found = append(found, netip.AddrPortFrom(addr, uint16(port)).String())
		}
	}
	return found
}

// at is a place at an address; none at "".
func at(address, part string) []string {
	if address == "" {
		return nil
	}
	return []string{strings.TrimSuffix(address+" "+part, " ")}
}
