package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// PutAttempt writes the attempt and returns when the disk has it, together with everything queued before. What
// Attempt.Keep says of the record before is written, and in a then.
func (j *Journal) PutAttempt(a *incident.Attempt) error {
	j.attempting.Lock()
	defer j.attempting.Unlock()
	if last, err := j.Attempt(a.ID); err == nil { // of one that cannot be read nothing can be kept
		a.Keep(last)
	}
	return j.putDurable(bucketAttempt, a.ID, a)
}

// Attempt reads one attempt. Errors: ErrNotFound.
func (j *Journal) Attempt(id string) (*incident.Attempt, error) {
	return read(j, func(tx *bbolt.Tx) (*incident.Attempt, error) {
		a := new(incident.Attempt)
		return a, readRecord(tx, bucketAttempt, id, a)
	})
}

// OpenAttempts reads the attempts that have a step before them, oldest first. It scans all attempts: call it
// once, at start.
func (j *Journal) OpenAttempts() ([]*incident.Attempt, error) {
	return j.attempts((*incident.Attempt).Open)
}

// AttemptsWithin reads the attempts intended no longer than age ago, oldest first. It scans all
// attempts: call it once, at start. Ages beyond Limits.AttemptAge find only attempts of incidents that are still kept.
func (j *Journal) AttemptsWithin(age time.Duration) ([]*incident.Attempt, error) {
	now := clock.Now(j.clock)
	return j.attempts(func(a *incident.Attempt) bool { return a.Intended.Age(now) <= age })
}

// PermittedAttempts reads the attempts that had the controller's leave, oldest first. It scans all
// attempts: call it once, at start.
func (j *Journal) PermittedAttempts() ([]*incident.Attempt, error) {
	return j.attempts(func(a *incident.Attempt) bool { return a.Permit != nil })
}

func (j *Journal) attempts(want func(*incident.Attempt) bool) ([]*incident.Attempt, error) {
	out, err := read(j, func(tx *bbolt.Tx) (out []*incident.Attempt, err error) {
		err = each(tx, bucketAttempt, func(a *incident.Attempt) {
			if want(a) {
				out = append(out, a)
			}
		})
		return out, err
	})
	slices.SortFunc(out, func(a, b *incident.Attempt) int {
		return cmp.Or(a.Intended.Wall.Compare(b.Intended.Wall), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// PutPause writes a pause and returns when the disk has it.
func (j *Journal) PutPause(p *incident.Pause) error {
	return j.putDurable(bucketPause, p.ID, p)
}

// DeletePause ends a pause and returns when the disk has it. An unknown ID is no error.
func (j *Journal) DeletePause(id string) error {
	return j.durable(context.Background(), drop(bucketPause, id))
}

// Pauses reads all pauses, oldest first.
func (j *Journal) Pauses() ([]*incident.Pause, error) {
	out, err := read(j, func(tx *bbolt.Tx) (out []*incident.Pause, err error) {
		err = each(tx, bucketPause, func(p *incident.Pause) { out = append(out, p) })
		return out, err
	})
	slices.SortFunc(out, func(a, b *incident.Pause) int {
		return cmp.Or(a.From.Wall.Compare(b.From.Wall), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// putDurable encodes v and writes it.
func (j *Journal) putDurable(bucket, key string, v any) error {
	o, err := encode(bucket, key, v)
	if err != nil {
		return err
	}
	return j.durable(context.Background(), o)
}

func encode(bucket, key string, v any) (op, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return op{}, fmt.Errorf("write journal: %s %q: %w", bucket, key, err)
	}
	return put(bucket, key, payload), nil
}

// payload copies what one record holds. Errors: ErrNotFound.
func payload(tx *bbolt.Tx, bucket, key string) ([]byte, error) {
	var value []byte
	if b := tx.Bucket([]byte(bucket)); b != nil {
		value = b.Get([]byte(key))
	}
	if value == nil {
		return nil, fmt.Errorf("%s %q: %w", bucket, key, ErrNotFound)
	}
	p, err := unseal(bucket, key, value)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", bucket, key, err)
	}
	return bytes.Clone(p), nil
}

// readRecord decodes one record into v. Errors: ErrNotFound.
func readRecord(tx *bbolt.Tx, bucket, key string, v any) error {
	p, err := payload(tx, bucket, key)
	if err == nil {
		err = json.Unmarshal(p, v)
	}
	return err
}

// each decodes every record of a bucket, in the order of keys.
func each[T any](tx *bbolt.Tx, bucket string, f func(*T)) error {
	return tx.Bucket([]byte(bucket)).ForEach(func(k, value []byte) error {
		v := new(T)
		if err := decode(bucket, string(k), value, v); err != nil {
			return err
		}
		f(v)
		return nil
	})
}
