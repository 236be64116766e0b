package spec

import (
	"bytes"
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// Step judges an answer and makes the change that it stands for. With no answer (nil: nobody saw it), the
// change is made by the rules alone. The error says what is wrong with the answer.
func (t *Table) Step(at Point, c *logpb.Command, r *logpb.Result) error {
	t.at = at.At
	switch c := c.GetWhat().(type) {
	case *logpb.Command_NewGeneration:
		return t.newGeneration(at, c.NewGeneration, r)
	case *logpb.Command_Configure:
		return t.configure(c.Configure, r)
	case *logpb.Command_Hello:
		return t.hello(at, c.Hello, r)
	case *logpb.Command_Edges:
		t.edges(c.Edges)
		return accepted(r)
	case *logpb.Command_Request:
		return t.request(c.Request, r)
	case *logpb.Command_Settle:
		return t.settle(c.Settle, r)
	case *logpb.Command_Revoke:
		return t.revoke(c.Revoke, r)
	case *logpb.Command_ForceSettle:
		return t.force(c.ForceSettle, r)
	case *logpb.Command_AdoptHost:
		return t.adopt(c.AdoptHost, r)
	case *logpb.Command_RemoveHost:
		return t.remove(at, c.RemoveHost, r)
	case *logpb.Command_ConfirmStanding:
		return t.confirm(c.ConfirmStanding, r)
	case *logpb.Command_Pause:
		return t.pause(at, c.Pause, r)
	case *logpb.Command_Tick:
		t.tick(at)
		return accepted(r)
	case *logpb.Command_Resume:
		return t.resume(c.Resume, r)
	}
	return nil // no matter of permits
}

// accepted is for what the rules do not refuse.
func accepted(r *logpb.Result) error {
	if r.GetRefusal() != nil {
		return fmt.Errorf("it was refused, and no rule says so: %v", r.GetRefusal())
	}
	return nil
}

// verdict compares the answer with the refusals that are true at this point. done reports whether the
// command is to take effect.
func verdict(r *logpb.Result, reasons map[string]string) (done bool, err error) {
	refusal := r.GetRefusal()
	switch {
	case r == nil:
		return len(reasons) == 0, nil
	case refusal == nil && len(reasons) > 0:
		return false, fmt.Errorf("it was accepted, and these stand against it: %v", reasons)
	case refusal == nil:
		return true, nil
	case len(reasons) == 0:
		return false, fmt.Errorf("it was refused (%s: %s), and nothing stands against it", refusal.GetCode(),
			refusal.GetText())
	case reasons[refusal.GetCode()] == "":
		return false, fmt.Errorf("it was refused for %q (%s), which is not true; true are %v", refusal.GetCode(),
			refusal.GetText(), reasons)
	case refusal.GetText() == "":
		return false, fmt.Errorf("the refusal %q has no text for people", refusal.GetCode())
	}
	return false, nil
}

// newGeneration: everything is paused, and every known host has to say hello again.
func (t *Table) newGeneration(at Point, c *logpb.NewGeneration, r *logpb.Result) error {
	switch {
	case c.GetBootstrap() && t.Generation == "":
		t.Generation = c.GetId()
		return accepted(r)
	case c.GetBootstrap():
		_, err := verdict(r, map[string]string{"generation": "the cluster has one"})
		return err
	case c.GetId() != t.Generation:
		t.renew(at, c.GetId())
	}
	return accepted(r)
}

func (t *Table) renew(at Point, id string) {
	t.Generation = id
	for _, h := range t.Hosts {
		h.Awaited = h.Awaited || !h.Removed
		for name, s := range h.Services { // indices of another generation say nothing here
			if s.Withdrawn > 0 {
				s.Withdrawn = at.Index
				h.Services[name] = s
			}
		}
	}
	for key, p := range t.Pauses {
		if p.Generation {
			delete(t.Pauses, key)
		}
	}
	t.Pauses[generationPause] = Pause{Scope: "all", Generation: true}
}

// generationPause stands for the one pause of a generation, whose ID no answer tells.
const generationPause = "the generation's"

// configure: what the file of a node says replaces what was there. A shrinking cap takes nothing back.
func (t *Table) configure(c *logpb.Configure, r *logpb.Result) error {
	if d := c.GetConfig().GetDigest(); len(d) == 0 || !bytes.Equal(d, []byte(t.digest)) {
		t.digest, t.FleetMax, t.Services = string(d), c.GetConfig().GetFleetMax(), map[string]*logpb.Service{}
		for _, s := range c.GetConfig().GetServices() {
			t.Services[s.GetName()] = s
		}
	}
	return accepted(r)
}

// edges: agents of the epoch that counts say what they serve; the leader says who is lost.
func (t *Table) edges(c *logpb.Edges) {
	for _, e := range c.GetEdge() {
		h := t.Hosts[e.GetHost()]
		switch {
		case h == nil || h.Removed:
		case e.GetService() == "" && e.GetEpoch() == 0:
			h.Lost = e.GetLost()
		case e.GetEpoch() == h.Epoch && !h.Quarantined:
			h.claim([]*logpb.ServiceReport{{Service: e.GetService(), Serving: e.GetServing()}})
		}
	}
}

// claim takes over what a host says of services that it reported.
func (h *Host) claim(rs []*logpb.ServiceReport) {
	for _, r := range rs {
		if s, ok := h.Services[r.GetService()]; ok && r.GetServing() != logpb.Serving_SERVING_UNSPECIFIED {
			s.Serving = r.GetServing()
			h.Services[r.GetService()] = s
		}
	}
}
