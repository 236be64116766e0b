package rule

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is the hysteresis in the plainest words: a condition that was seen to hold for so many steps
// in all, with only unknown steps between, fires; the same the other way round resolves.
type model struct {
	firing        bool
	run           int // steps that the deciding condition held since it last did not
	on            bool
	need, needOff int
}

// step takes 't', 'f' or 'u' and reports whether the state changed.
func (m *model) step(c byte) bool {
	wants, need := byte('t'), m.need
	if m.firing {
		wants, need = 'f', m.needOff
	}
	switch c {
	case 'u':
		m.on = false
		return false
	case wants:
		if m.on {
			m.run++
		}
		m.on = true
	default:
		m.run, m.on = 0, false
		return false
	}
	if m.run < need {
		return false
	}
	m.firing, m.run, m.on = !m.firing, 0, false
	return true
}

// Whatever the samples are, the engine fires and resolves exactly when the model says so.
func TestHysteresisProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{need: rapid.IntRange(0, 4).Draw(rt, "for"), needOff: rapid.IntRange(0, 4).Draw(rt, "clear_for")}
		busy := about(t, "busy", "", "host.cpu.busy > 90 * percent", "")
		busy.For, busy.ClearFor = time.Duration(m.need)*time.Second, time.Duration(m.needOff)*time.Second
		r := newRig(t, nil, busy)
		s := r.cfg.Store.Lookup(r.key("host.cpu.busy"))
		steps := rapid.SliceOfN(rapid.SampledFrom([]byte("ttffu")), 1, 60).Draw(rt, "steps")
		for i, c := range steps {
			r.now = r.now.Add(time.Second)
			switch c {
			case 't':
				s.Set(r.now.Boot, 1)
			case 'f':
				s.Set(r.now.Boot, 0)
			case 'u':
				s.Unknown(r.now.Boot)
			}
			before := len(r.events)
			r.e.Tick(r.now, func(ev Event) {
				if ev.Kind == Fired || ev.Kind == Resolved {
					r.emit(ev)
				}
			})
			if changed := len(r.events) > before; changed != m.step(c) {
				rt.Fatalf("step %d of %q: changed = %v, the model says %v", i, steps, changed, !changed)
			}
		}
	})
}

// However reloads, vanishing units and touches are mixed in, fired and resolved alternate for each alert.
func TestEventsAlternate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		worker := checkout()
		worker.Unit = "worker@*.service"
		down := about(t, "down", "checkout", "unit.failed", "")
		down.ClearFor = 2 * time.Second
		r := newRig(t, nil, down)
		r.cfg.Services = append(r.cfg.Services, worker)
		r.e.Reload(r.cfg)
		units := []string{"worker@1.service", "worker@2.service"}
		firing := make(map[string]bool)
		listen := func(ev Event) {
			switch id := ev.Alert.Instance; ev.Kind {
			case Fired:
				if firing[id] {
					rt.Fatalf("%s fired twice", id)
				}
				firing[id] = true
			case Resolved:
				if !firing[id] {
					rt.Fatalf("%s resolved without having fired", id)
				}
				firing[id] = false
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"tick": func(*rapid.T) { r.now = r.now.Add(time.Second); r.e.Tick(r.now, listen) },
			"units": func(rt *rapid.T) {
				r.e.SetUnits(units[:rapid.IntRange(0, 2).Draw(rt, "n")])
			},
			"reload": func(*rapid.T) { r.e.Reload(r.cfg) },
			"unit": func(rt *rapid.T) {
				k := r.key("unit.failed{" + rapid.SampledFrom(units).Draw(rt, "unit") + "}")
				if s := r.cfg.Store.Lookup(k); s != nil {
					s.Set(r.now.Boot, float64(rapid.IntRange(0, 1).Draw(rt, "failed")))
					r.e.Touch(k, r.now, listen)
				}
			},
		})
	})
}
