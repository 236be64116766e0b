package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
)

// Bounds of one circuit.
const (
	maxAddresses = 32
	maxPorts     = 8
)

// keptPorts are what no circuit may name, because too much stands behind them.
var keptPorts = map[int]string{
	22: "ssh is how people get from host to host", 53: "everything asks for names",
	853: "everything asks for names",
	25:  "mail may be how people are called", 465: "mail may be how people are called", 587: "mail may be how people are called",
}

// circuitVariants are the ways to cut a dependency off, of which a circuit has exactly one.
var circuitVariants = []variant{
	{"addresses", []string{"ports", "slice"}}, {"haproxy", []string{"backend", "server", "state"}},
	{"file", nil}, {"on", []string{"off"}},
}

func circuitKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "addresses", typ: texts}, {name: "ports", typ: integers, least: 1, most: 65535}, {name: "slice", typ: text},
			{name: "file", typ: text}, {name: "haproxy", typ: text}, {name: "backend", typ: text}, {name: "server", typ: text},
			{name: "state", typ: text, def: "maint", words: []string{"maint", "drain"}},
			{name: "on", typ: text}, {name: "off", typ: text},
		},
	}
}

func (l *loader) decodeCircuit(b *block) *Circuit {
	c := &Circuit{
		Name: b.name("circuit", checkWord), Range: b.header, Ports: b.integers("ports"),
		Slice: b.checked("slice", checkSlice), File: b.checked("file", checkAbsolute),
		HAProxy: b.checked("haproxy", checkSocket), Backend: b.checked("backend", checkName), Server: b.checked("server", checkName),
		On: b.checked("on", checkOwnURL), Off: b.checked("off", checkOwnURL),
	}
	b.variants(circuitVariants)
	if c.HAProxy != "" {
		c.State = b.text("state")
	}
	if c.On != "" && c.On == c.Off {
		b.fail("off", "No effect", "off is the same as on.")
	}
	for _, need := range [][2]string{{"haproxy", "backend"}, {"haproxy", "server"}, {"on", "off"}} {
		if b.has(need[0]) && !b.has(need[1]) {
			l.fail(b.header, "Missing key", "%s needs %q.", upper(b.what), need[1])
		}
	}
	words := b.texts("addresses")
	for _, w := range words {
		at, wrong := remote(w.text)
		if wrong != "" {
			l.fail(w.at, "Wrong value", "addresses: %s.", wrong)
		} else if !slices.Contains(c.Addresses, at) {
			c.Addresses = append(c.Addresses, at)
		}
	}
	for _, port := range c.Ports {
		if why := keptPorts[port]; why != "" {
			b.fail("ports", "Wrong value", "Port %d is never cut off: %s.", port, why)
		}
	}
	slices.Sort(c.Ports)
	c.Ports = slices.Compact(c.Ports)
	switch {
	case !b.has("addresses"):
	case len(words) == 0 || len(words) > maxAddresses:
		b.fail("addresses", "Out of bounds", "addresses has from 1 to %d addresses, not %d.", maxAddresses, len(words))
	case !b.has("ports"):
		l.fail(b.header, "Missing key", "%s needs %q.", upper(b.what), "ports")
	case len(c.Ports) == 0 || len(c.Ports) > maxPorts:
		b.fail("ports", "Out of bounds", "ports has from 1 to %d ports, not %d.", maxPorts, len(c.Ports))
	}
	return c
}

// sharedSlices hold what belongs to no service.
var sharedSlices = []string{"-.slice", "system.slice", "user.slice", "machine.slice"}

var sliceName = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]{1,249}\.slice$`)

// checkSlice is for the slice that a service has for itself.
func checkSlice(s string) string {
	switch {
	case !sliceName.MatchString(s):
		return fmt.Sprintf("%q is not the name of a slice, such as web.slice", s)
	case slices.Contains(sharedSlices, s):
		return s + " holds more than one service; Slice= in its units gives this one a slice of its own"
	}
	return ""
}

// checkOwnURL is for what only this host's own services are to be asked.
func checkOwnURL(s string) string {
	if wrong := checkURL(s); wrong != "" {
		return wrong
	}
	if u, _ := url.Parse(s); !onLoopback(u.Hostname()) {
		return u.Redacted() + " is not on this host; name a loopback address"
	}
	return ""
}

// remote reads the address of another host, or says what is wrong with it.
func remote(text string) (at netip.Addr, wrong string) {
	at, err := netip.ParseAddr(text)
	at = at.Unmap()
	switch {
	case err != nil || at.Zone() != "":
		return at, fmt.Sprintf("%q is not one IP address; names and networks can mean more than is known here", text)
	case at.IsLoopback():
		return at, text + " is this host itself"
	case at.IsUnspecified() || at.IsMulticast() || at == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return at, text + " is not the address of one host"
	}
	return at, ""
}

// checkCircuit reports a circuit that a remedy names in vain.
func (l *loader) checkCircuit(d *remedyDraft) {
	switch {
	case d.Service == nil:
		l.fail(d.targetAt, "Unknown circuit", "A remedy of the host has no circuits; put it into the service of the circuit.")
	case d.Service.Circuit(d.Args.Names()) == nil:
		var known []string
		for _, c := range d.Service.Circuits {
			known = append(known, c.Name)
		}
		name := d.Args.Names()
		l.fail(d.targetAt, "Unknown circuit", "The service %q has no circuit %q.%s", d.Service.Name, name, meant(name, known))
	}
}

// checkController reports circuits that would cut people on this host off from the controller; the agent's own line passes
// anyway, as it does to a controller that is known by name.
func (l *loader) checkController(s *Service) {
	if l.agent.Controller == nil {
		return
	}
	for _, text := range l.agent.Controller.Addresses {
		at, err := netip.ParseAddrPort(text)
		for _, c := range s.Circuits {
			if err == nil && slices.Contains(c.Addresses, at.Addr().Unmap()) && slices.Contains(c.Ports, int(at.Port())) {
				l.fail(c.Range, "Wrong value", "Circuit %q has %s in it, which is the controller.", c.Name, at)
			}
		}
	}
}

// Circuit is the service's circuit of that name, or nil.
func (s *Service) Circuit(name string) *Circuit {
	return named(s.Circuits, name, func(c *Circuit) string { return c.Name })
}
