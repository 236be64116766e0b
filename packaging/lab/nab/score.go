package main

import (
	"cmp"
	"math"
	"slices"
)

// profile is what a missed anomaly and a false alarm cost; a detection at the left edge of its window earns 1.
type profile struct {
	name   string
	missed float64
	alarm  float64 // far from any window; nearer to the right edge of one it costs less
}

// profiles are the three of the benchmark.
var profiles = []profile{
	{"standard", 1, 0.11},
	{"reward-low-FP", 1, 0.22},
	{"reward-low-FN", 2, 0.11},
}

// sigmoid falls from almost 1 at -1 through 0 at 0 to -1, which it is beyond 3.
func sigmoid(x float64) float64 {
	if x > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*x)) - 1
}

// detection is what it is worth, in a profile, that a row has been called an anomaly.
type detection struct {
	score  float64 // of the detector
	worth  float64
	window int // number of the window in the corpus that the row lies in; -1: none
}

// tally is the outcome of one threshold.
type tally struct {
	raw       float64
	threshold float64 // at or above it a row is called an anomaly; beyond 1: none is
	found     int     // windows
	alarms    int     // rows outside windows
}

// worths lists the judged rows of a file. first is the number of its first window.
func (p profile) worths(f file, scores []float64, first int) []detection {
	var out []detection
	next := 0 // the window that the row lies in, or that comes next
	for i := range f.rows {
		for next < len(f.windows) && i > f.windows[next].right {
			next++
		}
		if i < f.probation() {
			continue
		}
		d := detection{score: scores[i], window: -1}
		switch {
		case next < len(f.windows) && i >= f.windows[next].left:
			w := f.windows[next]
			d.window = first + next
			d.worth = sigmoid(-float64(w.right-i+1)/float64(w.width())) / sigmoid(-1)
		case next > 0:
			w := f.windows[next-1]
			d.worth = p.alarm * sigmoid(float64(i-w.right)/float64(w.width()-1))
		default:
			d.worth = -p.alarm
		}
		out = append(out, d)
	}
	return out
}

// sweep lists the detections of all files, highest score first, and counts the windows.
func (p profile) sweep(files []file, scores [][]float64) (all []detection, windows int) {
	for i, f := range files {
		all = append(all, p.worths(f, scores[i], windows)...)
		windows += len(f.windows)
	}
	slices.SortStableFunc(all, func(a, b detection) int { return cmp.Compare(b.score, a.score) })
	return all, windows
}

// best is the tally of the threshold with the highest raw score, and the figure: 0 for a detector that says nothing,
// 100 for one that calls the first row of each window and no other.
func (p profile) best(files []file, scores [][]float64) (best tally, figure float64) {
	all, windows := p.sweep(files, scores)
	now := tally{raw: p.null(windows), threshold: math.Inf(1)}
	best = now
	found := map[int]float64{}
	for i, d := range all {
		now.count(d, found, p.missed)
		if last := i+1 == len(all) || all[i+1].score < d.score; last && now.raw > best.raw {
			best = now
			best.threshold = d.score
		}
	}
	return best, p.figure(best.raw, windows)
}

// at is the tally of a given threshold, and its figure.
func (p profile) at(threshold float64, files []file, scores [][]float64) (tally, float64) {
	all, windows := p.sweep(files, scores)
	now := tally{raw: p.null(windows), threshold: threshold}
	found := map[int]float64{}
	for _, d := range all {
		if d.score >= threshold {
			now.count(d, found, p.missed)
		}
	}
	return now, p.figure(now.raw, windows)
}

// count adds a detection. Of those in one window the earliest, which is worth most, is the one that counts.
func (t *tally) count(d detection, found map[int]float64, missed float64) {
	if d.window < 0 {
		t.raw += d.worth
		t.alarms++
		return
	}
	had, ok := found[d.window]
	if !ok {
		had = -missed
		t.found++
	}
	if d.worth > had {
		t.raw += d.worth - had
		found[d.window] = d.worth
	}
}

// null is what a detector gets that says nothing.
func (p profile) null(windows int) float64 { return 0 - p.missed*float64(windows) }

// figure is 0 for nothing said and 100 for all that could be said; not a number where there are no windows.
func (p profile) figure(raw float64, windows int) float64 {
	null := p.null(windows)
	return 100 * (raw - null) / (float64(windows) - null)
}

// crossed is the figure when the threshold of each file is the best one of the files of the other half: odd and even ones,
// in the order of their names. How much it is lower shows how far the best threshold was luck.
func (p profile) crossed(files []file, scores [][]float64) float64 {
	var half [2][]file
	var of [2][][]float64
	windows := 0
	for i, f := range files {
		half[i%2], of[i%2] = append(half[i%2], f), append(of[i%2], scores[i])
		windows += len(f.windows)
	}
	raw := 0.0
	for i := range half {
		best, _ := p.best(half[1-i], of[1-i])
		t, _ := p.at(best.threshold, half[i], of[i])
		raw += t.raw
	}
	return p.figure(raw, windows)
}
