package main

import (
	"math"
	"slices"
	"time"
)

// Kinds of processes.
const (
	controllers = "controller"
	agents      = "agent"
)

// limits are how much each figure may grow in an hour, after the warm-up, under the load of this run: some 800 faults
// an hour. A leak of one goroutine or descriptor for each fault or each read is hundreds an hour, far above; of
// memory it takes 60 KiB for each to be told, on a controller. Below them is what has to grow for a while, because it
// is kept: incidents and their timelines for days, 5,000 records of the audit, the log until the next snapshot, the
// journal of a day. The noise of half an hour is below them, too: a process has some goroutines, descriptors or
// threads more or less from one moment to the next.
var limits = map[string][figures]float64{
	controllers: {rss: 48, heap: 32, descriptors: 30, goroutines: 60, threads: 12, data: 120},
	agents:      {rss: 24, heap: 16, descriptors: 30, goroutines: 60, threads: 12, data: 60},
}

// row is one figure of one process.
type row struct {
	process          string
	figure           figure
	start, warm, end float64
	growth, doubt    float64 // an hour, and the standard error of that
	limit            float64
}

// leaks: it grows beyond its limit, and noise alone hardly makes it look so.
func (r row) leaks() bool { return r.growth-2*r.doubt > r.limit }

// edge is of how many samples the middle one stands for the end of the warm-up, and for the end.
const edge = 5

// judge makes the rows of all processes.
func judge(all []*subject, warm time.Duration) []row {
	var out []row
	for _, x := range all {
		for f := range figures {
			times, values := x.after(warm, f)
			growth, doubt := line(times, values)
			n := min(edge, len(values))
			out = append(out, row{
				process: x.name, figure: f,
				start: x.samples[0].is[f], warm: median(values[:n]), end: median(values[len(values)-n:]),
				growth: growth, doubt: doubt, limit: limits[x.kind][f],
			})
		}
	}
	return out
}

// after is one figure from a moment on; the times are hours.
func (x *subject) after(from time.Duration, f figure) (times, values []float64) {
	for _, s := range x.samples {
		if s.at >= from {
			times, values = append(times, s.at.Hours()), append(values, s.is[f])
		}
	}
	return times, values
}

// line is the growth of y for one of x, by least squares, and its standard error; 0 if it cannot be told.
func line(x, y []float64) (slope, doubt float64) {
	mx, my := mean(x), mean(y)
	var up, across float64
	for i := range x {
		up += (x[i] - mx) * (y[i] - my)
		across += (x[i] - mx) * (x[i] - mx)
	}
	if across == 0 {
		return 0, 0
	}
	slope = up / across
	var off float64
	for i := range x {
		d := y[i] - my - slope*(x[i]-mx)
		off += d * d
	}
	if len(x) > 2 {
		doubt = math.Sqrt(off / float64(len(x)-2) / across)
	}
	return slope, doubt
}

func mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(max(len(v), 1))
}

// median is the middle one, of two the greater; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
