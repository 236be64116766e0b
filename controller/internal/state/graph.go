package state

import (
	"fmt"
	"maps"
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// graph is which service depends on which, and how long hosts need to notice a fault of it, as the hosts
// report it. What several say is counted.
type graph struct {
	said  map[string]saying         // host → what it reported
	down  map[string]map[string]int // service → what it depends on
	up    map[string]map[string]int // service → what depends on it
	takes map[string]map[int64]int  // service → nanoseconds
}

// saying is what one host reports.
type saying struct {
	deps  []dependency
	takes []taking
}

type dependency struct{ service, on string }

type taking struct {
	service string
	time    int64
}

func newGraph() graph {
	return graph{
		said: map[string]saying{}, down: map[string]map[string]int{}, up: map[string]map[string]int{},
		takes: map[string]map[int64]int{},
	}
}

// set replaces what a host says. It reports the services that depend on others, or take longer, than before.
func (g *graph) set(host string, services []*logpb.HostService) (changed []string) {
	var now saying
	for _, hs := range services {
		now.takes = append(now.takes, taking{hs.GetService(), max(0, hs.GetDetection())})
		for _, on := range hs.GetDependsOn() {
			if on != hs.GetService() {
				now.deps = append(now.deps, dependency{hs.GetService(), on})
			}
		}
	}
	old := g.said[host]
	if slices.Equal(old.deps, now.deps) && slices.Equal(old.takes, now.takes) {
		return nil
	}
	for _, t := range slices.Concat(old.takes, now.takes) {
		changed = append(changed, t.service)
	}
	before := g.views(changed)
	g.take(old, less[string], less[int64])
	g.take(now, more[string], more[int64])
	g.said[host] = now
	if len(services) == 0 {
		delete(g.said, host)
	}
	after := g.views(changed)
	return slices.DeleteFunc(changed, func(service string) bool { return before[service] == after[service] })
}

// take counts what a host says in or out.
func (g *graph) take(
	s saying, names func(map[string]map[string]int, string, string), times func(map[string]map[int64]int, string, int64),
) {
	for _, d := range s.deps {
		names(g.down, d.service, d.on)
		names(g.up, d.on, d.service)
	}
	for _, t := range s.takes {
		times(g.takes, t.service, t.time)
	}
}

// views are what others know of services, as texts to compare.
func (g *graph) views(services []string) map[string]string {
	out := map[string]string{}
	for _, name := range services {
		out[name] = fmt.Sprint(g.detection(name), slices.Sorted(maps.Keys(g.down[name])))
	}
	return out
}

// detection is how long the slowest host of a service needs to notice a fault of it.
func (g *graph) detection(service string) int64 {
	var most int64
	for time := range g.takes[service] {
		most = max(most, time)
	}
	return most
}

func more[K comparable](m map[string]map[K]int, from string, to K) {
	if m[from] == nil {
		m[from] = map[K]int{}
	}
	m[from][to]++
}

func less[K comparable](m map[string]map[K]int, from string, to K) {
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
