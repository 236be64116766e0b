package care

import (
	"time"

	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Changes are the signals that tell how long ago something changed. The zero value knows of no change and tells nobody.
type Changes struct {
	last map[changed]time.Duration // on the boot clock; below 0 in an earlier boot
	told []toldChange
}

// changed is what a change was of: "" is the host.
type changed struct{ service, kind string }

// toldChange is one signal that somebody reads.
type toldChange struct {
	changed
	series *series.Series
}

// Note says that something of a service, or of the host (""), was changed at a moment of the boot clock.
func (c *Changes) Note(service, kind string, at time.Duration) {
	if c.last == nil {
		c.last = make(map[changed]time.Duration)
	}
	for _, kind := range [...]string{kind, signal.AnyChange} {
		k := changed{service, kind}
		if was, ok := c.last[k]; !ok || at > was {
			c.last[k] = at
		}
	}
}

// Follow makes the signals among what rules and remedies read those that are told.
func (c *Changes) Follow(st *series.Store, needs []rule.Need) {
	c.told = c.told[:0]
	for _, n := range needs {
		p, err := signal.ParsePath(n.Key.Signal)
		if err == nil && (p.Family == signal.Change || p.Family == signal.HostChange) {
			c.told = append(c.told, toldChange{changed{n.Key.Of, p.Field}, st.Lookup(n.Key)})
		}
	}
}

// Tell gives the signals their sample of now. What was changed on the host was changed for its services as well.
func (c *Changes) Tell(now time.Duration) {
	for _, t := range c.told {
		age := signal.NoChange
		for _, of := range [...]string{t.service, ""} {
			if at, ok := c.last[changed{of, t.kind}]; ok {
				age = min(age, max(0, now-at))
			}
		}
		t.series.Set(now, age.Truncate(time.Second).Seconds()) // whole numbers cost a recording a third
	}
}
