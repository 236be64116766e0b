package main

import (
	"cmp"
	"slices"
	"time"
)

// Result is everything that a run measured.
type Result struct {
	Machine Machine
	Rows    []*Row // in the order in which they came up
	Go      []GoBench
}

// Row is one tool at one number of services.
type Row struct {
	Tool     string
	Services int
	Usage    *Usage // nil: no process of its own
	Tries    map[string]*Tries
}

// Tries are the tries of one fault.
type Tries struct {
	Took   []time.Duration // of those that healed
	Failed int
}

// row is nil if the tool was not measured at that number of services.
func (r *Result) row(tool string, services int) *Row {
	for _, row := range r.Rows {
		if row.Tool == tool && row.Services == services {
			return row
		}
	}
	return nil
}

func (r *Result) open(tool string, services int) *Row {
	row := r.row(tool, services)
	if row == nil {
		row = &Row{Tool: tool, Services: services, Tries: map[string]*Tries{}}
		r.Rows = append(r.Rows, row)
	}
	return row
}

// sorted are the rows by number of services, then by tool in the order of their names' table.
func (r *Result) sorted() []*Row {
	return slices.SortedStableFunc(slices.Values(r.Rows), func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.Services, b.Services),
			cmp.Compare(slices.Index(toolOrder[:], a.Tool), slices.Index(toolOrder[:], b.Tool)))
	})
}

func (r *Result) add(tool string, services int, fault string, took time.Duration, healed bool) {
	row := r.open(tool, services)
	t := row.Tries[fault]
	if t == nil {
		t = &Tries{}
		row.Tries[fault] = t
	}
	if healed {
		t.Took = append(t.Took, took)
	} else {
		t.Failed++
	}
}

func (r *Result) rest(tool string, services int, u Usage) { r.open(tool, services).Usage = &u }

// Median of the tries that healed; 0 if none did.
func (t *Tries) Median() time.Duration {
	if t == nil || len(t.Took) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(t.Took))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Worst of the tries that healed; 0 if none did.
func (t *Tries) Worst() time.Duration {
	if t == nil || len(t.Took) == 0 {
		return 0
	}
	return slices.Max(t.Took)
}
