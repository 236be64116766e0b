package spec

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

// adopt: a person says which machine is the host.
func (t *Table) adopt(c *logpb.AdoptHost, r *logpb.Result) error {
	h := t.Hosts[c.GetHost()]
	if h == nil || h.Removed || !h.Quarantined {
		_, err := verdict(r, map[string]string{"host": "no such host is quarantined"})
		return err
	}
	h.Quarantined = false
	switch {
	case c.GetFingerprint() != "":
		h.Fingerprint = c.GetFingerprint()
	case h.Stranger != "":
		h.Fingerprint = h.Stranger
	}
	h.Stranger = ""
	return accepted(r)
}

// remove: what may still be acting is removed only by a person who says that the machine is off or clean.
func (t *Table) remove(at Point, c *logpb.RemoveHost, r *logpb.Result) error {
	h := t.Hosts[c.GetHost()]
	if h == nil || h.Removed {
		_, err := verdict(r, map[string]string{"host": "no such host"})
		return err
	}
	if why := t.mayAct(c.GetHost(), h); why != "" && !c.GetGone() {
		_, err := verdict(r, map[string]string{"acting": why})
		return err
	}
	for k, p := range t.Permits {
		if p.Host == c.GetHost() {
			delete(t.Permits, k)
		}
	}
	h.Removed, h.Awaited = true, false
	t.crown(at)
	return accepted(r)
}

// mayAct says why something of Salve's may be running on the host, or begin there.
func (t *Table) mayAct(id string, h *Host) string {
	for k, p := range t.Permits {
		if p.Host == id {
			return fmt.Sprint("permit ", k)
		}
	}
	for name, s := range h.Services {
		if s.Sole != logpb.Sole_SOLE_UNSPECIFIED || t.Services[name].GetAloneAct() {
			return "it may act alone on " + name + " once it is cut off"
		}
	}
	if h.Awaited {
		return "in this generation nobody knows what it runs"
	}
	return ""
}

// pause stops remedies from here on.
func (t *Table) pause(at Point, c *logpb.PauseCommand, r *logpb.Result) error {
	done, err := verdict(r, t.unpausable(c))
	if err != nil || !done {
		return err
	}
	p := Pause{Scope: c.GetScope(), Window: c.GetWindow()}
	if c.GetFor() > 0 {
		p.Until = at.At + c.GetFor()
	}
	id := r.GetId()
	for n := 0; r == nil && (id == "" || t.Pauses[id] != Pause{}); n++ {
		id = fmt.Sprint("unseen ", n) // nobody can name it in a resume
	}
	if old, taken := t.Pauses[id]; id == "" || taken && old.Window == "" {
		return fmt.Errorf("the pause has no name of its own: %v", r)
	}
	t.Pauses[id] = p
	return nil
}

func (t *Table) unpausable(c *logpb.PauseCommand) map[string]string {
	reasons := map[string]string{}
	kind, name, _ := strings.Cut(c.GetScope(), ":")
	h := t.Hosts[name]
	switch {
	case kind == "host" && (h == nil || h.Removed):
		reasons["host"] = "no such host"
	case kind == "service" && t.Services[name] == nil && len(t.hostsOf(name)) == 0:
		reasons["service"] = "no such service"
	case c.GetScope() != "all" && name == "":
		reasons["scope"] = "no such scope"
	}
	if c.GetBy() == "" {
		reasons["who"] = "nobody wants it"
	}
	if c.GetFor() < 0 {
		reasons["for"] = "it lasts less than nothing"
	}
	return reasons
}

// tick: a pause holds until the first tick at or after its end.
func (t *Table) tick(at Point) {
	for id, p := range t.Pauses {
		if p.Until > 0 && p.Until <= at.At {
			delete(t.Pauses, id)
		}
	}
}

// resume ends a pause by its name or those of a scope, and forgives what failed twice there.
func (t *Table) resume(c *logpb.ResumeCommand, r *logpb.Result) error {
	var ends []string
	reasons := map[string]string{}
	for id, p := range t.Pauses {
		if id == c.GetPause() || p.Scope == c.GetPause() {
			ends = append(ends, id)
			if silent := t.silent(); p.Generation && silent != "" {
				reasons["awaited"] = silent + " has not said hello"
			}
		}
	}
	halted := t.halted(c.GetPause())
	if len(ends)+len(halted) == 0 {
		reasons["pause"] = "nothing is stopped there"
	}
	if c.GetBy() == "" {
		reasons["who"] = "nobody says so"
	}
	done, err := verdict(r, reasons)
	if err != nil || !done {
		return err
	}
	for _, id := range ends {
		delete(t.Pauses, id)
	}
	for _, k := range halted {
		t.restart(k, true)
	}
	return nil
}

// silent is a host that has not said hello in this generation, "" if all have.
func (t *Table) silent() string {
	for id, h := range t.Hosts {
		if h.Awaited && !h.Removed {
			return id
		}
	}
	return ""
}

// confirm: the host has the standing orders on its disk; a right that they took back is gone.
func (t *Table) confirm(c *logpb.ConfirmStanding, r *logpb.Result) error {
	h := t.Hosts[c.GetHost()]
	if h == nil || h.Removed || c.GetEpoch() != h.Epoch || c.GetGeneration() != t.Generation {
		_, err := verdict(r, map[string]string{"epoch": "not the session that counts"})
		return err
	}
	for name, s := range h.Services {
		if s.Sole == logpb.Sole_SOLE_WITHDRAWN && c.GetIndex() >= s.Withdrawn {
			s.Sole = logpb.Sole_SOLE_UNSPECIFIED
			h.Services[name] = s
		}
	}
	return accepted(r)
}
