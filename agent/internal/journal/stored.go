package journal

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/salveops/salve/pkg/incident"
)

// maxShelves bounds the memory of what is on disk; beyond it everything is forgotten and written anew.
const maxShelves = 256

// stored remembers, for incidents that are being written, which entries of their lists are on disk or
// queued. It is only a way to write less: forgetting costs one full write.
type stored struct {
	mu      sync.Mutex
	seed    maphash.Seed
	shelves map[string][]shelf // by incident, one a part
}

func newStored() stored {
	return stored{seed: maphash.MakeSeed(), shelves: map[string][]shelf{}}
}

// shelf is one list as it is on disk.
type shelf struct {
	entries []entry
	next    uint64 // number of the next entry
}

type entry struct{ print, n uint64 }

func (s *stored) get(id string, part int) (shelf, bool) {
	list, ok := s.shelves[id]
	if !ok {
		return shelf{}, false
	}
	return list[part], true
}

func (s *stored) keep(id string, list []shelf) {
	if len(s.shelves) >= maxShelves {
		clear(s.shelves)
	}
	s.shelves[id] = list
}

func (s *stored) forget(id string) { delete(s.shelves, id) }

// update gives the changes that turn what is on disk into p, and the shelf after them. Entries keep their
// order; those that p no longer has are dropped, new ones follow at the end.
func (s shelf) update(p part, id string, all *stored) ([]op, shelf, error) {
	after := shelf{next: s.next, entries: make([]entry, 0, p.len)}
	var ops []op
	i := 0
	for _, e := range s.entries {
		if i < p.len && maphash.Comparable(all.seed, p.print(i)) == e.print {
			after.entries = append(after.entries, e)
			i++
		} else {
			ops = append(ops, drop(p.bucket, partKey(id, e.n)))
		}
	}
	for ; i < p.len; i++ {
		payload, err := json.Marshal(p.value(i))
		if err != nil {
			return nil, s, fmt.Errorf("write journal: incident %s: %w", id, err)
		}
		ops = append(ops, put(p.bucket, partKey(id, after.next), payload))
		after.entries = append(after.entries, entry{maphash.Comparable(all.seed, p.print(i)), after.next})
		after.next++
	}
	return ops, after, nil
}

// eventKey and evidenceKey are what makes an entry what it is.
type (
	eventKey struct {
		boot, wall int64
		kind, text string
	}
	evidenceKey struct {
		boot, wall  int64
		title, text string
	}
)

func eventPrint(e *incident.Event) any {
	return eventKey{int64(e.At.Boot), e.At.Wall.UnixNano(), string(e.Type), e.Text}
}

func evidencePrint(e *incident.Evidence) any {
	return evidenceKey{int64(e.At.Boot), e.At.Wall.UnixNano(), e.Title, e.Text}
}
