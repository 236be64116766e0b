package metric

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// maxSeries bounds the series of one Set: labels that explode must not take the agent with them.
	maxSeries = 10_000
	// forget is how long a series may be away until all that is kept of it is that there was one.
	forget = 10 * time.Minute
	// maxGone bounds those of which that is kept.
	maxGone = 10_000
)

// Set makes the figures of some definitions from one source of samples, such as one page.
type Set struct {
	tallies  []*tally
	families map[string]*family
	series   map[string]*Series // by key
	all      []*Series          // the same, in the order in which they came
	gone     map[uint64]bool    // hashes of the keys of series that were there once
	round    uint64
	last     time.Duration // end of the last round
	primed   bool          // there was one: a series that is new now has grown from zero
	key      []byte        // scratch
}

// family is all series of one name.
type family struct {
	round uint64   // in which one of them was last put
	other Series   // stands for all that no definition wants
	parts []*tally // that want some
}

// Series is one series of a source. Whoever opened it keeps it until the source has it no more.
type Series struct {
	family *family
	key    string // name and labels, with a separator that no text has in it
	parts  []part
	round  uint64        // in which it was last put
	value  float64       // of that round
	base   float64       // of the round before
	known  bool          // base is set
	at     time.Duration // end of the round in which it was last put
	again  bool          // it was forgotten, so that nobody knows from where it has grown
}

// part is what a series contributes to.
type part struct {
	tally *tally
	term  int     // of a Ratio: 0 for Of, 1 for All
	bound float64 // of a Quantile: upper end of the bucket
}

// Figure is what a round says about one definition.
type Figure struct {
	Value float64
	Known bool
	// Idle: the figure is unknown only because too little happened in a window that is full.
	Idle bool
	// Fault is what the operator should know. A figure that is unknown without one, and not Idle, waits for its window
	// to be full.
	Fault error
}

// New is a Set for a source that is read with the given period.
func New(definitions []Definition, every time.Duration) *Set {
	s := &Set{families: map[string]*family{}, series: map[string]*Series{}, gone: map[uint64]bool{}, round: 1}
	for _, d := range definitions {
		t := newTally(d, every)
		s.tallies = append(s.tallies, t)
		for _, sel := range t.terms {
			s.want(sel.name).parts = append(s.want(sel.name).parts, t)
		}
	}
	return s
}

func (s *Set) want(name string) *family {
	f := s.families[name]
	if f == nil {
		f = &family{}
		f.other.family = f
		s.families[name] = f
	}
	return f
}

// Wants reports whether some definition is about series of this name.
func (s *Set) Wants(name []byte) bool { return s.families[string(name)] != nil }

// Open finds the series with these labels, whose order does not matter, and makes it at first sight.
// It fails when there are too many series, or for a bucket without a bound; series that are gone are forgotten
// only by a round that ends, so who goes on then begins with a New Set. The name must be one that
// the Set Wants.
func (s *Set) Open(name string, labels []Label) (*Series, error) {
	f := s.families[name]
	slices.SortFunc(labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	s.key = append(s.key[:0], name...)
	for _, l := range labels {
		s.key = append(append(append(append(s.key, separator), l.Name...), separator), l.Value...)
	}
	if found := s.series[string(s.key)]; found != nil {
		return found, nil
	}
	found := &Series{family: f, key: string(s.key), at: s.last}
	for _, t := range slices.Compact(slices.Clone(f.parts)) {
		parts, err := t.parts(name, labels)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", found, err)
		}
		found.parts = append(found.parts, parts...)
	}
	if len(found.parts) == 0 {
		return &f.other, nil
	}
	if len(s.series) == maxSeries {
		return nil, fmt.Errorf("%s: more than %d series match; match fewer", name, maxSeries)
	}
	h := hash(found.key)
	found.again = s.gone[h]
	delete(s.gone, h)
	s.series[found.key] = found
	s.all = append(s.all, found)
	return found, nil
}

// Counts are the definitions that count or measure the series, by their index; what an Of is only a share of is not
// meant.
func (s *Set) Counts(sr *Series) (definitions []int) {
	for i, t := range s.tallies {
		if slices.ContainsFunc(sr.parts, func(p part) bool { return p.tally == t && p.term == 0 }) {
			definitions = append(definitions, i)
		}
	}
	return definitions
}

// Put gives a series its value of this round.
func (s *Set) Put(sr *Series, v float64) {
	sr.family.round = s.round
	if sr.round == s.round {
		for _, p := range sr.parts {
			p.tally.fail("%s is there twice", sr)
		}
	}
	sr.round, sr.value = s.round, v
}

// End ends a round whose samples are of the given moment of the monotonic clock, and makes the figures.
// A moment that is not later than that of the round before undoes the round.
func (s *Set) End(at time.Duration) {
	if s.primed && at <= s.last {
		s.Undo()
		return
	}
	old := false
	for _, sr := range s.all {
		if sr.round != s.round {
			old = old || at-sr.at > forget
			continue
		}
		for _, p := range sr.parts {
			p.tally.take(p, sr, s.primed && !sr.again)
		}
		sr.at = at
		if sr.value >= 0 && !math.IsInf(sr.value, 1) {
			sr.base, sr.known, sr.again = sr.value, true, false
		}
	}
	if old {
		s.forget(at)
	}
	for _, t := range s.tallies {
		t.conclude(at, t.absent(s))
	}
	s.last, s.primed = at, true
	s.round++
}

// forget drops the series that have been away for long. That they were there is kept, so that one that comes back is not
// taken for one that has grown from zero; once that is too much, for all of them.
func (s *Set) forget(at time.Duration) {
	s.all = slices.DeleteFunc(s.all, func(sr *Series) bool {
		old := at-sr.at > forget
		if old {
			if len(s.gone) == maxGone {
				clear(s.gone)
			}
			s.gone[hash(sr.key)] = true
			delete(s.series, sr.key)
		}
		return old
	})
}

func hash(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()
}

// Undo forgets what was put in this round, because its source failed in the middle. There are no
// figures of it.
func (s *Set) Undo() {
	for _, t := range s.tallies {
		t.reset()
		t.figure = Figure{}
	}
	s.round++
}

// Figure is what the last round says about the i-th definition.
func (s *Set) Figure(i int) Figure { return s.tallies[i].figure }

// separator stands between the parts of a key. No text has this byte in it.
const separator = 0xff

// String is the series as a page has it.
func (sr *Series) String() string {
	name, labels, _ := strings.Cut(sr.key, string([]byte{separator}))
	words := strings.Split(labels, string([]byte{separator}))
	list := make([]string, len(words)/2)
	for i := range list {
		list[i] = fmt.Sprintf("%s=%q", words[2*i], words[2*i+1])
	}
	if len(list) == 0 {
		return name
	}
	return name + "{" + strings.Join(list, ",") + "}"
}
