package journal

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// Space is a named set of small JSON records that belong to another package, which also removes them.
type Space struct {
	j      *Journal
	bucket string
}

// Space gives the set of that name. One name belongs to one package.
func (j *Journal) Space(name string) *Space { return &Space{j: j, bucket: spacePrefix + name} }

// Put writes a record and returns when the disk has it, together with everything queued before.
func (s *Space) Put(key string, v any) error { return s.j.putDurable(s.bucket, key, v) }

// PutSoon queues a record; it does not wait.
func (s *Space) PutSoon(key string, v any) error {
	o, err := encode(s.bucket, key, v)
	if err != nil {
		return err
	}
	return s.j.enqueue(o)
}

// DeleteSoon queues the removal of a record; it does not wait. An unknown key is no error.
func (s *Space) DeleteSoon(key string) error { return s.j.enqueue(drop(s.bucket, key)) }

// Flush returns when everything queued so far is durable.
func (s *Space) Flush(ctx context.Context) error { return s.j.Flush(ctx) }

// Get reads a record into v, which must be a pointer, and reports whether there is one.
func (s *Space) Get(key string, v any) (bool, error) {
	s.j.settle()
	text, err := read(s.j, func(tx *bbolt.Tx) ([]byte, error) { return payload(tx, s.bucket, key) })
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	return err == nil, err
}

// Each calls f for every record in the order of keys, until f returns an error. f may use the journal.
func (s *Space) Each(f func(key string, decode func(v any) error) error) error {
	s.j.settle()
	type record struct {
		key     string
		payload json.RawMessage
	}
	records, err := read(s.j, func(tx *bbolt.Tx) (list []record, err error) {
		b := tx.Bucket([]byte(s.bucket))
		if b == nil {
			return nil, nil
		}
		err = b.ForEach(func(k, _ []byte) error {
			p, err := payload(tx, s.bucket, string(k))
			list = append(list, record{string(k), p})
			return err
		})
		return list, err
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := f(r.key, func(v any) error { return json.Unmarshal(r.payload, v) }); err != nil {
			return err
		}
	}
	return nil
}

// settleWait bounds how long a reader waits for queued writes.
const settleWait = 2 * time.Second

// settle lets queued writes become readable. When the disk takes nothing, readers see what it has.
func (j *Journal) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), settleWait)
	defer cancel()
	_ = j.Flush(ctx)
}
