package journal

import (
	"slices"

	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// prune applies the retention. It runs in the writer's goroutine.
func (j *Journal) prune() {
	j.outbox.Load().prune()
	keep := j.limits.Incidents
	for {
		ops, closed, err := j.expired(keep)
		if err != nil {
			j.log.Warn("journal not pruned", "error", err)
			return
		}
		if len(ops) > 0 {
			err := j.write(ops)
			j.setHealth(err)
			if err != nil {
				return
			}
		}
		if j.live() <= j.limits.Bytes || closed == 0 {
			return
		}
		keep = closed / 2 // too big all the same: the older half goes
	}
}

// expired lists what may go when keep closed incidents stay, and how many closed ones there then are.
func (j *Journal) expired(keep int) (ops []op, closed int, err error) {
	type result struct {
		ops    []op
		closed int
	}
	now := clock.Now(j.clock)
	r, err := read(j, func(tx *bbolt.Tx) (r result, err error) {
		heads, err := readHeads(tx)
		if err != nil {
			return r, err
		}
		kept := j.keepIncidents(heads, keep, now)
		for _, h := range heads {
			switch {
			case !kept[h.ID]:
				r.ops = append(r.ops, drop(bucketIncident, h.ID),
					dropAll(bucketTimeline, h.ID+"\x00"), dropAll(bucketEvidence, h.ID+"\x00"))
			case h.State == incident.Resolved:
				r.closed++
			}
		}
		old, err := j.oldAttempts(tx, kept, now)
		r.ops = append(r.ops, old...)
		return r, err
	})
	return r.ops, r.closed, err
}

// keepIncidents picks those that stay: all that are open, and the newest closed ones that are young enough.
func (j *Journal) keepIncidents(heads []summary, keep int, now clock.Stamp) map[string]bool {
	slices.SortFunc(heads, newestFirst)
	kept := make(map[string]bool, len(heads))
	closed := 0
	for _, h := range heads {
		if h.State == incident.Resolved {
			ended := h.Ended
			if ended.IsZero() {
				ended = h.Opened
			}
			if closed == keep || ended.Age(now) > j.limits.IncidentAge {
				continue
			}
			closed++
		}
		kept[h.ID] = true
	}
	return kept
}

// oldAttempts lists attempts that no budget and no incident needs any more.
func (j *Journal) oldAttempts(tx *bbolt.Tx, kept map[string]bool, now clock.Stamp) ([]op, error) {
	var ops []op
	err := each(tx, bucketAttempt, func(a *incident.Attempt) {
		age := j.limits.AttemptAge
		if a.Permit != nil { // the controller may ask what became of it
			age = max(age, j.limits.IncidentAge)
		}
		if !kept[a.Incident] && !a.Open() && a.Intended.Age(now) > age {
			ops = append(ops, drop(bucketAttempt, a.ID))
		}
	})
	return ops, err
}

// live is about how many bytes of the file are in use.
func (j *Journal) live() int64 {
	// The size of a transaction is that of the file up to the high-water mark.
	size, err := read(j, func(tx *bbolt.Tx) (int64, error) { return tx.Size(), nil })
	if err != nil {
		return 0
	}
	s := j.db.Stats()
	return size - int64(s.FreePageN+s.PendingPageN)*pageSize
}
