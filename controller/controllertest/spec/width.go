package spec

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

func (p *Permit) remedy() Remedy { return Remedy{p.Service, p.Rule, p.Digest} }

// narrow: no more attempts at once than have earned it, and none after two hosts in a row.
func (t *Table) narrow(c *logpb.Request, add func(code, text string)) {
	key := Remedy{c.GetService(), c.GetRule(), string(c.GetDigest())}
	w := t.Widths[key]
	if hosts := strings.Fields(w.Failed); len(hosts) >= 2 {
		add("halted", "failed on "+w.Failed)
	}
	open := 0
	for _, p := range t.Permits {
		if !p.Undo && p.remedy() == key {
			open++
		}
	}
	if width := max(1, int(w.Width)); open >= width {
		add("width", fmt.Sprintf("%d are open, the width is %d", open, width))
	}
}

// widen: it helped.
func (t *Table) widen(p *Permit) {
	if p.Undo {
		return
	}
	w := t.Widths[p.remedy()]
	w.Failed, w.Used = "", t.at
	w.Width = min(2*max(1, w.Width), uint32(max(1, t.Cap(p.Service))))
	t.Widths[p.remedy()] = w
}

// fail: it did not help, or nobody can tell.
func (t *Table) fail(p *Permit) {
	if p.Undo {
		return
	}
	w := t.Widths[p.remedy()]
	w.Width, w.Used = 1, t.at
	if hosts := strings.Fields(w.Failed); len(hosts) == 0 || len(hosts) == 1 && hosts[0] != p.Host {
		w.Failed = strings.TrimSpace(w.Failed + " " + p.Host)
	}
	t.Widths[p.remedy()] = w
}

// doubt: nobody can tell what became of it, and it goes on counting.
func (t *Table) doubt(p *Permit) {
	if !p.Unknown {
		p.Unknown = true
		t.fail(p)
	}
}

// halted are the rules of which a remedy failed on two hosts in a row, as far as a resume of the scope lets
// them begin again.
func (t *Table) halted(scope string) []Rule {
	var out []Rule
	for k, w := range t.Widths {
		if len(strings.Fields(w.Failed)) >= 2 && (scope == "all" || scope == "service:"+k.Service ||
			scope == "service:"+k.Service+"/"+k.Rule) {
			out = append(out, Rule{k.Service, k.Rule})
		}
	}
	return out
}

// restart begins with one host again for the remedies of a rule.
func (t *Table) restart(rule Rule, forgive bool) {
	for k, w := range t.Widths {
		if k.Service != rule.Service || k.Rule != rule.Name {
			continue
		}
		w.Width = 1
		if forgive {
			w.Failed = ""
		}
		t.Widths[k] = w
	}
}
