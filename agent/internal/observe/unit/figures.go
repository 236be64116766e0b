package unit

import (
	"os"
	"path/filepath"
	"strings"
)

// Figure is one of a unit's files as it stands: what a person would look at with cat.
type Figure struct {
	File string // memory.current, cpu.stat, …
	Text string // without a line end
}

// figureLimit bounds the text of one figure.
const figureLimit = 1 << 10

// Figures are a unit's own control group files, for the evidence of an incident. Files that are not
// there, or would show what is not the unit's, are left out. It fails when the unit has no control group.
func (l Layout) Figures(run Run) ([]Figure, error) {
	at, err := l.place(run)
	if err != nil {
		return nil, err
	}
	var figures []Figure
	add := func(folder string, names ...string) {
		if folder == "" {
			return
		}
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(folder, name))
			if err == nil && len(text) > 0 {
				text = text[:min(len(text), figureLimit)]
				figures = append(figures, Figure{File: name, Text: strings.TrimSpace(string(text))})
			}
		}
	}
	add(at.unified, "cpu.stat", "cpu.max", "cpu.pressure", "memory.current", "memory.peak", "memory.high", "memory.max",
		"memory.events", "memory.pressure", "io.pressure", "pids.current", "pids.max", "pids.events", "cgroup.events")
	add(at.v1["cpu"], "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.stat")
	add(at.v1["cpuacct"], "cpuacct.usage")
	add(at.v1["memory"], "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes",
		"memory.failcnt", "memory.oom_control")
	add(at.v1["pids"], "pids.current", "pids.max", "pids.events")
	return figures, nil
}
