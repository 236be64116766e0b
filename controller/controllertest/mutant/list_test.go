package mutant

var mutants = []mutant{
	{name: "key without host", edits: []edit{{
		"derived.go", `target{t.GetService(), t.GetHost(), t.GetResource()}`, `target{t.GetService(), "", t.GetResource()}`,
	}}},
	{name: "free on time", edits: []edit{{
		"tick.go", `for _, p := range s.overdue() {`, `for _, p := range s.overdue() {
		s.drop(p)`,
	}}},
	{name: "free on revoke", edits: []edit{{
		"permit.go", `p.Revoked = c.GetBy()`, `p.Revoked = c.GetBy()
		s.drop(p)`,
	}}},
	{name: "free on removal", edits: []edit{{
		"host.go", `(len(open) > 0 || s.mayAct(h)) && !c.GetGone()`, `false`,
	}}},
	{name: "free on an edge", edits: []edit{{
		"host.go", `s.claim(h, []*logpb.ServiceReport{{Service: e.GetService(), Serving: e.GetServing()}})`,
		`s.claim(h, []*logpb.ServiceReport{{Service: e.GetService(), Serving: e.GetServing()}})
			for _, p := range s.PermitsOf(h.GetId()) {
				s.drop(p)
			}`,
	}}},
	{name: "free on a heartbeat", edits: []edit{{
		"host.go", `s.hostLost(h, lost)
}`, `s.hostLost(h, lost)
	for _, p := range s.PermitsOf(h.GetId()) {
		s.drop(p)
	}
}`,
	}}},
	{name: "free on a new epoch", edits: []edit{{
		"host.go", `s.introduce(c, h)
	for`, `for _, p := range s.PermitsOf(h.GetId()) {
		s.drop(p)
	}
	s.introduce(c, h)
	for`,
	}}},
	{name: "settle without generation", edits: []edit{{
		"permit.go", `return token{t.GetGeneration(), t.GetN()}`, `return token{"", t.GetN()}`,
	}}},
	{name: "settle without epoch", unseen: true, edits: []edit{{
		"permit.go", `p.GetHost() != c.GetHost() || p.GetEpoch() != c.GetEpoch()`, `p.GetHost() != c.GetHost()`,
	}}},
	{name: "batch judged against its starting state", unseen: true, edits: []edit{
		{"state.go", `derived derived // computed from the above; never in a snapshot`, `toAdd []*logpb.Permit
	derived derived`},
		{"permit.go", `s.derived.add(p)
	h.LastN`, `s.toAdd = append(s.toAdd, p)
	h.LastN`},
		{"state.go", `	return results, nil
}

// apply judges`, `	for _, p := range s.toAdd {
		s.derived.add(p)
	}
	s.toAdd = nil
	return results, nil
}

// apply judges`},
	}},
	{name: "lost host not counted", unseen: true, edits: []edit{{
		"count.go", `return !h.GetLost() && h.GetQuarantined()`, `return h.GetQuarantined()`,
	}}},
	{name: "cap by ceil", edits: []edit{{
		"count.go", `int(uint64(c.GetMaxUnavailableShare())*uint64(n)/million)`,
		`int((uint64(c.GetMaxUnavailableShare())*uint64(n) + million - 1)/million)`,
	}}},
	{name: "width ignored", unseen: true, edits: []edit{{
		"width.go", `open >= width {`, `open >= 1000*width {`,
	}}},
	{name: "undo refused by a pause", unseen: true, edits: []edit{{
		"permit.go", `	if c.GetUndo() {
		return nil
	}
	service := c.GetService()`, `	service := c.GetService()`,
	}}},
}
