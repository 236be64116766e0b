package series

import (
	"cmp"
	"iter"
	"slices"
)

// Key names one series: a signal of one thing.
type Key struct {
	Signal string // canonical name: signal.Path's String
	Of     string // unit for unit.*, service for probe.* and pool.*, "" for host.*
}

// String is the key in listings: unit.cpu{checkout.service}.
func (k Key) String() string {
	if k.Of == "" {
		return k.Signal
	}
	return k.Signal + "{" + k.Of + "}"
}

// Compare orders keys by signal, then by what it belongs to.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Signal, o.Signal), cmp.Compare(k.Of, o.Of))
}

// Store holds all series of one agent. It belongs to one goroutine.
type Store struct {
	series map[Key]*Series
	sorted []*Series // by key, for All
	words  []string
	ids    map[string]float64
	kept   map[Key]Learned // of series that are not open
	spare  []float64       // room for the samples of one window, shared by the quantiles
}

// New is an empty store.
func New() *Store {
	return &Store{series: map[Key]*Series{}, ids: map[string]float64{}, kept: map[Key]Learned{}}
}

// Open returns the series of a key and makes it if there is none. Opening again widens the window
// to the largest asked for, takes over a period that is not 0, and adds a detector; the kind stays. With another
// dimension, span or definition it is another figure: what was known is forgotten.
func (st *Store) Open(k Key, o Options) *Series {
	if s := st.series[k]; s != nil {
		if s.opt.Dim != o.Dim || s.opt.Span != o.Span || s.opt.Definition != o.Definition {
			s.opt.Dim, s.opt.Span, s.opt.Definition = o.Dim, o.Span, o.Definition
			s.ring.n, s.last, s.seen, s.watch = 0, sample{}, false, nil
			delete(st.kept, k)
		}
		s.opt.Window = max(s.opt.Window, o.Window)
		if o.Every > 0 {
			s.opt.Every = o.Every
		}
		if o.Anomaly {
			st.observe(s)
		}
		return s
	}
	s := &Series{key: k, opt: o, store: st}
	s.ring.grow(ringLeast)
	st.reserve(ringLeast)
	st.series[k] = s
	if o.Anomaly {
		st.observe(s)
	}
	i, _ := st.find(k)
	st.sorted = slices.Insert(st.sorted, i, s)
	return s
}

// Lookup returns the series of a key, nil if it was never opened.
func (st *Store) Lookup(k Key) *Series { return st.series[k] }

// Remove forgets a series, but not what its detector has learned. Who still holds it reads what it was.
func (st *Store) Remove(k Key) {
	if i, ok := st.find(k); ok {
		if s := st.sorted[i]; s.watch != nil {
			st.kept[k] = Learned{s.watch.detector, s.opt.Definition}
		}
		st.sorted = slices.Delete(st.sorted, i, i+1)
		delete(st.series, k)
	}
}

// All yields every series in the order of their keys. The store must not be changed meanwhile.
func (st *Store) All() iter.Seq2[Key, *Series] {
	return func(yield func(Key, *Series) bool) {
		for _, s := range st.sorted {
			if !yield(s.key, s) {
				return
			}
		}
	}
}

// Intern gives a word the number that stands for it in Text series; the same word, the same number.
// Words are never forgotten: intern only those of a small vocabulary, such as unit states.
func (st *Store) Intern(word string) float64 {
	id, ok := st.ids[word]
	if !ok {
		id = float64(len(st.words))
		st.words = append(st.words, word)
		st.ids[word] = id
	}
	return id
}

// Text is the word of a number that Intern gave, "" for any other.
func (st *Store) Text(id float64) string {
	i := int(id)
	if i < 0 || i >= len(st.words) || float64(i) != id {
		return ""
	}
	return st.words[i]
}

func (st *Store) find(k Key) (int, bool) {
	return slices.BinarySearchFunc(st.sorted, k, func(s *Series, k Key) int { return s.key.Compare(k) })
}

// reserve makes room for the samples of a window of n, so that quantiles need none of their own.
func (st *Store) reserve(n int) {
	if n > len(st.spare) {
		st.spare = make([]float64, n)
	}
}
