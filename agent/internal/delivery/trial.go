package delivery

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/pkg/config"
)

const (
	// trialTime is how long an agent has to run with a bundle until that is not what the next one dies of.
	trialTime = time.Minute
	// mostStarts is how many agents may begin with a bundle and not come so far.
	mostStarts = 3
)

// try begins with what an earlier process kept, but what agents died of: there is one more start with it. What has proved
// itself stays, whatever agents die of.
func (d *Delivery) try(all []cached) {
	d.trials = map[*config.Bundle]trial{}
	for _, c := range all {
		if c.starts >= mostStarts {
			d.deadly = append(d.deadly, c)
			d.log.Error("bundle of rules does not hold: agents died with it", "bundle", c.Name, "starts", c.starts)
			continue
		}
		if !c.proved {
			c.starts++
		}
		d.kept = append(d.kept, c.Bundle)
		d.trials[c.Bundle] = c.trial
	}
	d.refused = d.refusals()
	if len(d.onTrial()) == 0 {
		return
	}
	if err := d.write(d.kept, d.trials); err != nil {
		d.log.Warn("a start with bundles of rules is not counted", "error", err)
	}
}

// refusals are of what agents died of. The caller holds mu.
func (d *Delivery) refusals() map[string]refusal {
	refused := map[string]refusal{}
	for _, c := range d.deadly {
		sum := bundle.Sum(c.Files)
		refused[c.Name] = refusal{string(sum[:]), fmt.Sprintf("the agent died %d times within %s of starting with it", c.starts, trialTime)}
	}
	return refused
}

// onTrial are the bundles that hold and have not proved themselves.
func (d *Delivery) onTrial() []*config.Bundle {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.kept), func(b *config.Bundle) bool { return d.trials[b].proved })
}

// trialsOf are those of bundles that are to hold: what is new has not begun.
func (d *Delivery) trialsOf(bundles []*config.Bundle) map[*config.Bundle]trial {
	d.mu.Lock()
	defer d.mu.Unlock()
	trials := map[*config.Bundle]trial{}
	for _, b := range bundles {
		trials[b] = d.trials[b]
	}
	return trials
}

// end ends the trial of what holds, by success or because the agent stops as it was told to.
func (d *Delivery) end(proved bool) {
	if len(d.onTrial()) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	trials := maps.Clone(d.trials)
	for b, t := range trials {
		trials[b] = trial{proved: t.proved || proved}
	}
	if err := d.write(d.kept, trials); err != nil {
		d.log.Warn("the trial of bundles of rules is not kept on the disk", "error", err)
		return
	}
	d.trials = trials
}

// write writes the file of bundles. The caller holds mu, or is the only one.
func (d *Delivery) write(kept []*config.Bundle, trials map[*config.Bundle]trial) error {
	var all []cached
	for _, b := range kept {
		all = append(all, cached{b, trials[b]})
	}
	return write(d.path(), append(all, d.deadly...)) // of two with the same name, the first is read
}
