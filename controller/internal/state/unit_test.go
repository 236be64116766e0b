package state

import "testing"

// A permit says which unit it is about, also when the same request comes again, and from a snapshot.
func TestPermitNamesItsUnit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.joins("checkout", nil, "web-1", "web-2")
	c := r.ask("web-1", "checkout")
	c.GetRequest().Unit = "checkout.service"
	for range 2 {
		r.must(c)
	}
	if p := r.s.Permits()[0]; len(r.s.Permits()) != 1 || p.GetUnit() != "checkout.service" {
		t.Errorf("permits %v", r.s.Permits())
	}
	s, err := Restore(r.s.Snapshot())
	if err != nil || s.Permits()[0].GetUnit() != "checkout.service" {
		t.Errorf("restored: %v", err)
	}
}
