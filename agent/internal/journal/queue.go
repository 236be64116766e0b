package journal

import (
	"sync"
)

// op is one change of one record, or the deletion of all records whose keys begin with key.
type op struct {
	bucket, key string
	value       []byte // sealed; nil deletes
	prefix      bool   // delete every key that begins with key
	dead        bool   // replaced by a later op
}

func put(bucket, key string, payload []byte) op {
	return op{bucket: bucket, key: key, value: seal(bucket, key, payload)}
}

func drop(bucket, key string) op { return op{bucket: bucket, key: key} }

func dropAll(bucket, prefix string) op { return op{bucket: bucket, key: prefix, prefix: true} }

func (o op) size() int { return len(o.bucket) + len(o.key) + len(o.value) }

// request is a write that somebody waits for; without ops it waits for what is queued.
type request struct {
	ops  []op
	done chan error // capacity 1
}

// queue holds what is to be written. Later writes of a key replace earlier ones that are still waiting.
type queue struct {
	mu       sync.Mutex
	limits   Limits
	ops      []op
	at       map[string]int // bucket and key → index of its live op
	bytes    int
	requests []request
	closed   bool

	soon chan struct{} // something is queued
	now  chan struct{} // somebody waits
}

func newQueue(l Limits) queue {
	return queue{limits: l, at: map[string]int{}, soon: make(chan struct{}, 1), now: make(chan struct{}, 1)}
}

// add queues all ops or none.
func (q *queue) add(ops ...op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	size := 0
	for _, o := range ops {
		size += o.size()
	}
	if len(q.at)+len(ops) > q.limits.Queue || q.bytes+size > q.limits.QueueBytes {
		return ErrFull
	}
	for _, o := range ops {
		q.push(o)
	}
	poke(q.soon)
	return nil
}

// push appends o and kills the op that it replaces, so that the order of the rest stays as it was.
func (q *queue) push(o op) {
	id := o.bucket + "\x00" + o.key
	if o.prefix {
		id += "\x00*"
	}
	if i, ok := q.at[id]; ok {
		q.bytes -= q.ops[i].size()
		q.ops[i] = op{dead: true}
	}
	q.at[id] = len(q.ops)
	q.ops = append(q.ops, o)
	q.bytes += o.size()
}

// ask queues a write that is waited for.
func (q *queue) ask(r request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.requests = append(q.requests, r)
	poke(q.now)
	return nil
}

// take empties the queue.
func (q *queue) take() ([]op, []request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ops, requests := q.ops, q.requests
	q.ops, q.requests, q.at, q.bytes = nil, nil, map[string]int{}, 0
	return ops, requests
}

// giveBack puts ops that could not be written before those that came meanwhile.
func (q *queue) giveBack(ops []op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	newer := q.ops
	q.ops, q.at, q.bytes = nil, map[string]int{}, 0
	for _, list := range [][]op{ops, newer} {
		for _, o := range list {
			if !o.dead {
				q.push(o)
			}
		}
	}
}

// shut refuses what comes from now on.
func (q *queue) shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
