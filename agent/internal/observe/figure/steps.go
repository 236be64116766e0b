package figure

import (
	"math"
	"slices"
)

const (
	perDouble = 4  // buckets in which a value doubles
	below     = 20 // how often 1 halves until the first bound

	// Schema is the schema of native histograms whose buckets are as wide as the Steps.
	Schema = 2
	// Steps is how many there are.
	Steps = 60*perDouble + 2
)

// steps are the buckets of events that come without bounds: from 1 µs to 1e12, each wider than the one before by the fourth
// root of two. What is said of a quantile is wrong by 19 % of it at most.
var steps = func() (all [Steps]float64) {
	for i := range all {
		all[i] = math.Exp2(float64(i)/perDouble - below)
	}
	all[len(all)-1] = math.Inf(1)
	return all
}()

// Step is the one of the Steps that a value belongs to.
func Step(v float64) int {
	i, _ := slices.BinarySearch(steps[:], v)
	return i
}

// Spread shares out n events that lie between two powers of two to the Steps between them, as if they lay evenly on a
// logarithmic scale. Grow is called for each step that gets some.
func Spread(from, to, n float64, grow func(i int, by float64)) {
	from, to = (from+below)*perDouble, (to+below)*perDouble
	infinite := len(steps) - 1
	for at := from; at < to; {
		end := min(to, math.Floor(at)+1)
		step := int(math.Ceil(min(end, float64(infinite))))
		switch {
		case at < 0:
			end, step = min(to, 0), 0
		case at >= float64(infinite-1):
			end, step = to, infinite
		}
		grow(step, n*(end-at)/(to-from))
		at = end
	}
}

// Even shares out n events that lie evenly between 0 and a value to the Steps up to it. Grow is called for each of them.
func Even(to, n float64, grow func(i int, by float64)) {
	last := Step(to)
	if last == 0 {
		grow(0, n)
		return
	}
	from := 0.0
	for i := range last + 1 {
		end := min(steps[i], to)
		grow(i, n*((end-from)/to))
		from = end
	}
}
