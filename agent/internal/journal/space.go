package journal

import (
	"context"
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
	err := s.j.view(func(tx *bbolt.Tx) error { return readRecord(tx, s.bucket, key, v) })
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Each calls f for every record in the order of keys, until f returns an error.
func (s *Space) Each(f func(key string, decode func(v any) error) error) error {
	s.j.settle()
	return s.j.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(s.bucket))
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			key := string(k)
			return f(key, func(to any) error { return decode(s.bucket, key, v, to) })
		})
	})
}

// settleWait bounds how long a reader waits for queued writes.
const settleWait = 2 * time.Second

// settle lets queued writes become readable. When the disk takes nothing, readers see what it has.
func (j *Journal) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), settleWait)
	defer cancel()
	_ = j.Flush(ctx)
}
