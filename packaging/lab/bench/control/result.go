package control

import (
	"slices"
	"time"

	"github.com/salveops/salve/packaging/lab/load"
)

// Result is everything that a run measured.
type Result struct {
	Disk   string   // file system of all data
	Load   float64  // load average of the machine before the run: what else it does
	Failed []string // parts that could not be measured to their end
	Cells  []*Cell
	Kills  []*Kill
	Idle   []*Idle
	Storm  *Storm // nil: not measured
	opts   Options
}

// Cell is one contender at one number of nodes and callers.
type Cell struct {
	Tool    string
	Nodes   int
	Callers int
	Rounds  []Round
}

// Round is one measurement.
type Round struct {
	Figures *load.Figures
	Cores   float64 // processor time of all nodes, seconds a second
	Done    int64   // operations since the round began, those that do not count too
	Entries uint64  // that they became in the log
	Elected bool    // the leader lost its place meanwhile
}

// cell finds a cell, nil: not measured.
func (r *Result) cell(tool string, nodes, callers int) *Cell {
	for _, c := range r.Cells {
		if c.Tool == tool && c.Nodes == nodes && c.Callers == callers {
			return c
		}
	}
	return nil
}

func (r *Result) add(tool string, nodes, callers int, round Round) {
	c := r.cell(tool, nodes, callers)
	if c == nil {
		c = &Cell{Tool: tool, Nodes: nodes, Callers: callers}
		r.Cells = append(r.Cells, c)
	}
	c.Rounds = append(c.Rounds, round)
}

// rate is the median of the rounds, operations a second.
func (c *Cell) rate(all ...load.Op) float64 {
	var each []float64
	for _, r := range c.Rounds {
		each = append(each, r.Figures.Rate(all...))
	}
	return median(each)
}

// elections are the rounds in which the leader lost its place.
func (c *Cell) elections() int {
	n := 0
	for _, r := range c.Rounds {
		if r.Elected {
			n++
		}
	}
	return n
}

func (c *Cell) cores() float64 {
	var each []float64
	for _, r := range c.Rounds {
		each = append(each, r.Cores)
	}
	return median(each)
}

// perEntry is how many commands went into one entry of the log.
func (c *Cell) perEntry() float64 {
	var done, entries float64
	for _, r := range c.Rounds {
		done, entries = done+float64(r.Done), entries+float64(r.Entries)
	}
	return done / max(entries, 1)
}

// took are the samples of all rounds.
func (c *Cell) took(ops ...load.Op) load.Samples {
	var all []load.Samples
	for _, r := range c.Rounds {
		for _, op := range ops {
			all = append(all, r.Figures.Took(op))
		}
	}
	return load.Join(all...)
}

// median is 0 if there is nothing.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Kill is what one contender did when it lost its leader.
type Kill struct {
	Tool      string
	Took      []time.Duration // from the kill to the next operation
	Stalls    int             // how often the leader stood still for stallTime
	Elections int             // how often that cost it its place
}

func (r *Result) kill(tool string) *Kill {
	for _, k := range r.Kills {
		if k.Tool == tool {
			return k
		}
	}
	k := &Kill{Tool: tool}
	r.Kills = append(r.Kills, k)
	return k
}

// Idle is a controller with so many agents that have nothing to say.
type Idle struct {
	Sessions   int
	Connecting time.Duration // until the last one of them was welcome; they came all at once
	Busy       int64         // how often one was told to come again later
	Before     int64         // RSS in bytes without sessions
	RSS        int64         // with them
	CPUBefore  float64       // seconds a minute without sessions
	CPU        float64       // with them
	Heartbeats int64         // while it was watched
	Entries    uint64        // entries of the log while it was watched
	SlowestRTT time.Duration // of a heartbeat
}

// perSession is the memory of one session, in bytes.
func (i *Idle) perSession() float64 { return float64(i.RSS-i.Before) / float64(i.Sessions) }

// cpuPerSession is in milliseconds a minute.
func (i *Idle) cpuPerSession() float64 { return (i.CPU - i.CPUBefore) * 1e3 / float64(i.Sessions) }

// Storm is the loss of a leader that all agents were connected to.
type Storm struct {
	Sessions int
	Took     load.Samples // from the kill until each was welcome at the next leader
	Busy     int64
	Lost     uint32 // hosts that the controller held for lost, at the worst
}
