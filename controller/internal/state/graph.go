package state

import (
	"maps"
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// graph is which service depends on which, as the hosts report it. Each edge counts the hosts that say so.
type graph struct {
	said map[string][]dependency   // host → what it reported
	down map[string]map[string]int // service → what it depends on
	up   map[string]map[string]int // service → what depends on it
}

type dependency struct{ service, on string }

func newGraph() graph {
	return graph{said: map[string][]dependency{}, down: map[string]map[string]int{}, up: map[string]map[string]int{}}
}

// set replaces what a host says.
func (g *graph) set(host string, services []*logpb.HostService) {
	var now []dependency
	for _, hs := range services {
		for _, on := range hs.GetDependsOn() {
			if on != hs.GetService() {
				now = append(now, dependency{hs.GetService(), on})
			}
		}
	}
	old := g.said[host]
	if slices.Equal(old, now) {
		return
	}
	for _, d := range old {
		less(g.down, d.service, d.on)
		less(g.up, d.on, d.service)
	}
	for _, d := range now {
		more(g.down, d.service, d.on)
		more(g.up, d.on, d.service)
	}
	g.said[host] = now
	if len(now) == 0 {
		delete(g.said, host)
	}
}

func more(m map[string]map[string]int, from, to string) {
	if m[from] == nil {
		m[from] = map[string]int{}
	}
	m[from][to]++
}

func less(m map[string]map[string]int, from, to string) {
	if m[from][to]--; m[from][to] == 0 {
		delete(m[from], to)
	}
	if len(m[from]) == 0 {
		delete(m, from)
	}
}

// walk lists what can be reached from a service, nearest first, without the service itself.
func walk(edges map[string]map[string]int, from string) []string {
	if len(edges[from]) == 0 {
		return nil
	}
	seen := map[string]bool{from: true}
	var out []string
	for level := []string{from}; len(level) > 0; {
		next := map[string]bool{}
		for _, service := range level {
			for to := range edges[service] {
				if !seen[to] {
					seen[to], next[to] = true, true
				}
			}
		}
		level = slices.Sorted(maps.Keys(next))
		out = append(out, level...)
	}
	return out
}

// dependencies are the services that a service depends on, over others too, nearest first.
func (g *graph) dependencies(service string) []string { return walk(g.down, service) }

// dependents are the services that depend on a service, over others too, nearest first.
func (g *graph) dependents(service string) []string { return walk(g.up, service) }
