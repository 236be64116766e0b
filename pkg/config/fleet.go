package config

import (
	"slices"
)

// What hosts and controller have to agree on.

// permitAlways is the only word that permit takes: what needs no permit asks for one, too.
const permitAlways = "always"

// permit reads what a service may do without the controller.
func (b *block) permit() (always bool, alone string, unsafe bool) {
	always, alone, unsafe = b.text("permit") == permitAlways, b.text("alone"), b.boolean("unsafe_alone")
	switch {
	case alone == AloneAct && !unsafe:
		b.fail("alone", "Unsafe", "alone = \"act\" lets every host of the service act while it cannot reach the "+
			"controller: several may be out at once, and max_unavailable is not guaranteed. Who accepts that writes "+
			"unsafe_alone = true beside it.")
	case unsafe && alone != AloneAct:
		b.l.warn(b.at("unsafe_alone"), "No effect", "unsafe_alone accepts what alone = \"act\" does, which is not set.")
	}
	return always, alone, unsafe
}

// resource reads the name of what hosts share; "" if there is none.
func (b *block) resource(key string) string {
	name := b.text(key)
	switch wrong := checkName(name); {
	case !b.has(key):
	case name == permitAlways:
		b.fail(key, "Wrong place", `%s of a remedy names what hosts share; %s = "always" stands in the service.`, key, key)
	case wrong != "":
		b.fail(key, "Wrong name", "%s: %s.", key, wrong)
	}
	return name
}

// checkPermit reports a remedy that could never run: what hosts share is never touched without leave.
func (l *loader) checkPermit(d *remedyDraft) {
	if d.Permit != "" && l.agent.Controller == nil && !l.rulesOnly {
		l.fail(d.permitAt, "No controller", "The remedy %q acts on %q, which hosts share, and agent.hcl names no controller that "+
			"could permit it: it would never run.", d.Name, d.Permit)
	}
}

// checkLonely reports what a service cannot mean on a host that no controller looks after.
func (l *loader) checkLonely(d *serviceDraft) {
	if l.agent.Controller != nil || l.rulesOnly {
		return
	}
	if d.PermitAlways {
		l.fail(d.permitAt, "No controller", "Nothing of the service %q may run without a permit, and agent.hcl names no "+
			"controller that could give one: it would never be healed.", d.Name)
	}
	if d.Alone == AloneAct {
		l.warn(d.aloneAt, "No effect", "agent.hcl names no controller: this host is alone, and acts.")
	}
}

func (l *loader) decodeController(b *block) {
	c := &Controller{Range: b.header}
	addresses := b.texts("addresses")
	if b.has("addresses") && len(addresses) == 0 {
		b.fail("addresses", "No address", "An empty list is no controller; leave the block out, and the agent works alone.")
	}
	for _, w := range addresses {
		if wrong := checkAddress(w.text); wrong != "" {
			l.fail(w.at, "Wrong value", "addresses: %s.", wrong)
		}
		if slices.Contains(c.Addresses, w.text) {
			l.fail(w.at, "Duplicate address", "%q is in addresses already.", w.text)
		}
		c.Addresses = append(c.Addresses, w.text)
	}
	l.agent.Controller = c
}
