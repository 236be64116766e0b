package journal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// PutIncident queues the incident as it is now. It does not wait for the disk, and the incident may be
// changed as soon as it returns. Of timeline and evidence only what is new is written, so it is cheap to
// call it after every change.
func (j *Journal) PutIncident(inc *incident.Incident) error {
	parts, head, err := split(inc)
	if err != nil {
		return err
	}
	j.incidents.mu.Lock()
	defer j.incidents.mu.Unlock()
	ops := []op{put(bucketIncident, inc.ID, head)}
	next := make([]shelf, len(parts))
	for i, p := range parts {
		known, ok := j.incidents.get(inc.ID, i)
		if !ok {
			ops = append(ops, dropAll(p.bucket, inc.ID+"\x00"))
		}
		more, after, err := known.update(p, inc.ID, &j.incidents)
		if err != nil {
			return err
		}
		ops, next[i] = append(ops, more...), after
	}
	if err := j.enqueueWithEvents(ops); err != nil {
		j.incidents.forget(inc.ID)
		return err
	}
	if inc.State == incident.Resolved {
		j.incidents.forget(inc.ID)
	} else {
		j.incidents.keep(inc.ID, next)
	}
	return nil
}

// part is one of the growing lists of an incident.
type part struct {
	bucket string
	len    int
	print  func(i int) any // what makes entry i what it is, comparable
	value  func(i int) any
}

// split separates what grows from the rest, which is returned encoded.
func split(inc *incident.Incident) ([]part, []byte, error) {
	rest := *inc
	rest.Timeline, rest.Evidence = nil, nil
	events := inc.Timeline
	if over := len(events) - incident.MaxTimeline; over > 0 {
		events, rest.Dropped = events[over:], rest.Dropped+over
	}
	head, err := json.Marshal(&rest)
	if err != nil {
		return nil, nil, fmt.Errorf("write journal: incident %s: %w", inc.ID, err)
	}
	return []part{
		{bucketTimeline, len(events),
			func(i int) any { return eventPrint(&events[i]) },
			func(i int) any { return &events[i] }},
		{bucketEvidence, len(inc.Evidence),
			func(i int) any { return evidencePrint(&inc.Evidence[i]) },
			func(i int) any { return &inc.Evidence[i] }},
	}, head, nil
}

// Incident reads one incident as a whole. Errors: ErrNotFound.
func (j *Journal) Incident(id string) (*incident.Incident, error) {
	j.settle()
	return read(j, func(tx *bbolt.Tx) (*incident.Incident, error) { return readIncident(tx, id) })
}

func readIncident(tx *bbolt.Tx, id string) (*incident.Incident, error) {
	inc := new(incident.Incident)
	if err := readRecord(tx, bucketIncident, id, inc); err != nil {
		return nil, err
	}
	err := eachPart(tx, bucketTimeline, id, func(decode func(any) error) error {
		inc.Timeline = append(inc.Timeline, incident.Event{})
		return decode(&inc.Timeline[len(inc.Timeline)-1])
	})
	if err != nil {
		return nil, err
	}
	err = eachPart(tx, bucketEvidence, id, func(decode func(any) error) error {
		inc.Evidence = append(inc.Evidence, incident.Evidence{})
		return decode(&inc.Evidence[len(inc.Evidence)-1])
	})
	return inc, err
}

// eachPart calls f for each entry of a list in order.
func eachPart(tx *bbolt.Tx, bucket, id string, f func(decode func(any) error) error) error {
	prefix := []byte(id + "\x00")
	c := tx.Bucket([]byte(bucket)).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := f(func(to any) error { return decode(bucket, string(k), v, to) }); err != nil {
			return err
		}
	}
	return nil
}

func partKey(id string, n uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(id+"\x00"), n))
}

// Filter says which incidents are wanted; the zero value means all.
type Filter struct {
	Open    bool   // only those not resolved
	Service string // only those of this service
	Limit   int    // at most so many, the newest; 0: no limit
}

// Incidents reads incidents as a whole, newest first.
func (j *Journal) Incidents(f Filter) ([]*incident.Incident, error) {
	j.settle()
	return read(j, func(tx *bbolt.Tx) (out []*incident.Incident, err error) {
		heads, err := readHeads(tx)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(heads, newestFirst)
		for _, h := range heads {
			if f.Limit > 0 && len(out) == f.Limit {
				break
			}
			if f.Open && h.State == incident.Resolved || f.Service != "" && h.Service != f.Service {
				continue
			}
			inc, err := readIncident(tx, h.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, inc)
		}
		return out, nil
	})
}

// summary is what listing and retention need of an incident.
type summary struct {
	ID      string         `json:"id"`
	Service string         `json:"service"`
	State   incident.State `json:"state"`
	Opened  clock.Stamp    `json:"opened"`
	Ended   clock.Stamp    `json:"ended"`
}

func readHeads(tx *bbolt.Tx) (heads []summary, err error) {
	err = each(tx, bucketIncident, func(h *summary) { heads = append(heads, *h) })
	return heads, err
}

func newestFirst(a, b summary) int {
	return cmp.Or(b.Opened.Wall.Compare(a.Opened.Wall), cmp.Compare(a.ID, b.ID))
}
