// Package source has what all sources of observations share: the samples they hand over, in batches
// that are used again and again, and the figures that each source keeps about itself.
package source

import (
	"sync"
	"time"

	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/series"
)

// Handle stands for one series in samples, so that nobody looks up a name on the way. There is one
// handle for a key as long as its Book lives.
type Handle struct {
	// Key names the series. It never changes.
	Key series.Key
	// Series belongs to the receiver of batches: nil at first sight, then whatever it keeps here to
	// find its series again. Sources never look at it.
	Series *series.Series
}

// Sample is one observation.
type Sample struct {
	Handle *Handle
	At     time.Duration // clock.Instant.Boot
	Value  float64
	Known  bool // false: the source failed or answered nothing; Value means nothing then
	Idle   bool // not Known, only because too little happened: the source answers
}

// Batch is a handful of samples of about the same moment. Its receiver owns it until Release.
type Batch struct {
	Samples []Sample
	home    *Book
}

// Set adds a known value.
func (b *Batch) Set(h *Handle, at time.Duration, v float64) {
	b.Samples = append(b.Samples, Sample{Handle: h, At: at, Value: v, Known: true})
}

// Unknown says that there is no value.
func (b *Batch) Unknown(h *Handle, at time.Duration) {
	b.Samples = append(b.Samples, Sample{Handle: h, At: at})
}

// Maybe adds v if known is true, and that it is unknown if not.
func (b *Batch) Maybe(h *Handle, at time.Duration, v float64, known bool) {
	b.Samples = append(b.Samples, Sample{Handle: h, At: at, Value: v, Known: known})
}

// Figure adds what a metric says.
func (b *Batch) Figure(h *Handle, at time.Duration, f metric.Figure) {
	b.Samples = append(b.Samples, Sample{Handle: h, At: at, Value: f.Value, Known: f.Known, Idle: f.Idle})
}

// Release gives the batch back. The samples must not be used afterwards.
func (b *Batch) Release() {
	clear(b.Samples) // the spare batches keep no handle of a unit that is gone
	b.Samples = b.Samples[:0]
	b.home.takeBack(b)
}

// spareBatches is how many batches are kept for use again: more than there are sources, so that a
// receiver may be a few batches behind before anything is allocated.
const spareBatches = 16

// Book hands out handles and empty batches. It may be used by many goroutines.
type Book struct {
	mu      sync.Mutex
	handles map[series.Key]*Handle
	spare   []*Batch // what came back last goes out first, so that only a few grow to the size of the largest
}

// NewBook is a book without handles.
func NewBook() *Book {
	return &Book{spare: make([]*Batch, 0, spareBatches), handles: map[series.Key]*Handle{}}
}

// Handle is the handle of a key; the same key, the same handle.
func (k *Book) Handle(signal, of string) *Handle {
	key := series.Key{Signal: signal, Of: of}
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.handles[key]
	if h == nil {
		h = &Handle{Key: key}
		k.handles[key] = h
	}
	return h
}

// Forget drops the handles for which gone holds. Batches on their way may still carry them.
func (k *Book) Forget(gone func(series.Key) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.handles {
		if gone(key) {
			delete(k.handles, key)
		}
	}
}

// Batch is an empty batch.
func (k *Book) Batch() *Batch {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := len(k.spare) - 1
	if last < 0 {
		return &Batch{home: k}
	}
	b := k.spare[last]
	k.spare[last], k.spare = nil, k.spare[:last]
	return b
}

func (k *Book) takeBack(b *Batch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.spare) < spareBatches {
		k.spare = append(k.spare, b)
	}
}
