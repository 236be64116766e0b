package journal

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// probeSize is about what an attempt takes.
const probeSize = 2048

// enqueue queues ops for the next commit.
func (j *Journal) enqueue(ops ...op) error {
	if err := j.fit(ops); err != nil {
		return err
	}
	if err := j.queue.add(ops...); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// enqueueWithEvents queues ops together with the events that wait for them.
func (j *Journal) enqueueWithEvents(ops []op) error {
	if o := j.outbox.Load(); o != nil {
		return o.with(ops)
	}
	return j.enqueue(ops...)
}

// fit refuses what bbolt would refuse, before it can spoil the commit of others.
func (j *Journal) fit(ops []op) error {
	for _, o := range ops {
		if len(o.value) > j.limits.Record || len(o.key) > maxKey {
			return fmt.Errorf("write journal: %s %.40q of %d bytes: %w", o.bucket, o.key, len(o.value), ErrTooLarge)
		}
		if o.key == "" {
			return fmt.Errorf("write journal: %s: record without a key", o.bucket)
		}
	}
	return nil
}

// durable writes ops, and all that is queued, and returns when the disk has them. When ctx ends first the
// write may still happen.
func (j *Journal) durable(ctx context.Context, ops ...op) error {
	if err := j.fit(ops); err != nil {
		return err
	}
	r := request{ops: ops, done: make(chan error, 1)}
	if err := j.queue.ask(r); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("write journal: %w", ctx.Err())
	case <-j.fault.seen:
		return fmt.Errorf("write journal: %w", j.fault.err)
	}
}

// run is the only goroutine that writes. What many ask for while one commit is under way goes into the
// next one together.
func (j *Journal) run() {
	defer close(j.stopped)
	later := time.NewTimer(j.limits.PruneEvery)
	later.Stop()
	defer later.Stop()
	prune := time.NewTicker(j.limits.PruneEvery)
	defer prune.Stop()
	j.prune()
	for armed := false; ; {
		select {
		case <-j.stop:
			j.commit()
			return
		case <-prune.C:
			j.prune()
			continue
		case <-j.queue.soon:
			if !armed {
				armed = true
				later.Reset(j.limits.FlushEvery)
			}
			continue
		case <-j.queue.now:
		case <-later.C:
		}
		armed = false
		j.commit()
		if j.Healthy() != nil {
			armed = true
			later.Reset(j.limits.RetryEvery)
		}
	}
}

// commit writes what waits, in one transaction, and answers those who wait for it.
func (j *Journal) commit() {
	ops, requests := j.queue.take()
	all := ops
	for _, r := range requests {
		all = append(all[:len(all):len(all)], r.ops...)
	}
	if len(all) == 0 && j.Healthy() != nil {
		// Nobody writes while the journal is unwritable, so it would never be found to be well again.
		all = []op{put(bucketMeta, keyProbe, make([]byte, probeSize))}
	}
	err := j.write(all)
	if err != nil {
		j.queue.giveBack(ops)
	} else if o := j.outbox.Load(); o != nil {
		o.committed(all)
	}
	j.setHealth(err)
	for _, r := range requests {
		r.done <- err
	}
}

func (j *Journal) setHealth(err error) {
	was := j.Healthy()
	if err == nil {
		j.unhealthy.Store(nil)
	} else {
		j.unhealthy.Store(&err)
	}
	switch {
	case was == nil && err != nil:
		j.log.Error("journal cannot be written, nothing will be repaired until it can", "error", err)
	case was != nil && err == nil:
		j.log.Info("journal can be written again")
	}
}

// write applies ops in one transaction.
func (j *Journal) write(ops []op) error {
	if len(ops) == 0 {
		return nil
	}
	err := j.guarded(func() error {
		return j.db.Update(func(tx *bbolt.Tx) error { return apply(tx, ops) })
	})
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// apply makes the changes and keeps the total in step.
func apply(tx *bbolt.Tx, ops []op) error {
	meta := tx.Bucket([]byte(bucketMeta))
	t, err := decodeTotal(meta.Get([]byte(keySum)))
	if err != nil {
		return err
	}
	for _, o := range ops {
		if o.dead {
			continue
		}
		b, err := tx.CreateBucketIfNotExists([]byte(o.bucket))
		if err != nil {
			return err
		}
		if err := o.apply(b, &t); err != nil {
			return err
		}
	}
	return meta.Put([]byte(keySum), t.encode())
}

func (o op) apply(b *bbolt.Bucket, t *total) error {
	if o.prefix {
		return deletePrefix(b, []byte(o.key), t)
	}
	if old := b.Get([]byte(o.key)); old != nil {
		t.remove(old)
	}
	if o.value == nil {
		return b.Delete([]byte(o.key))
	}
	t.add(o.value)
	return b.Put([]byte(o.key), o.value)
}

func deletePrefix(b *bbolt.Bucket, prefix []byte, t *total) error {
	var keys [][]byte // deleting moves a cursor, so the keys are collected first
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		keys = append(keys, bytes.Clone(k))
		t.remove(v)
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
