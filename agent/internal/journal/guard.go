package journal

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"go.etcd.io/bbolt"
)

// fault is what happens to a file that was sound when it was opened: a disk that dies, a file cut by
// somebody else. Touching its mapping is then a SIGBUS, which a guard turns into an error. bbolt may be
// left with a lock that nobody will ever release, so after the first fault it is not asked again, and
// nobody waits for a goroutine that is inside it.
type fault struct {
	once sync.Once
	err  error
	seen chan struct{} // closed at the first fault, after err is set
}

func (f *fault) set(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.seen)
	})
}

// get is nil if nothing happened yet.
func (f *fault) get() error {
	select {
	case <-f.seen:
		return f.err
	default:
		return nil
	}
}

// guard runs f and returns a panic or a fault in the mapped file as an error that is errFault.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errFault, p)
		}
	}()
	return f()
}

// guarded is guard that remembers a fault.
func (j *Journal) guarded(f func() error) error {
	if err := j.fault.get(); err != nil {
		return err
	}
	err := guard(f)
	if errors.Is(err, errFault) {
		j.fault.set(err)
	}
	return err
}

// read runs f in a read transaction. What f returns must not refer to the transaction's memory.
func read[T any](j *Journal, f func(tx *bbolt.Tx) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = j.guarded(func() error {
			return j.db.View(func(tx *bbolt.Tx) (err error) {
				r.value, err = f(tx)
				return err
			})
		})
		done <- r
	}()
	var none T
	select {
	case r := <-done:
		if r.err != nil {
			return none, fmt.Errorf("read journal: %w", r.err)
		}
		return r.value, nil
	case <-j.fault.seen:
		return none, fmt.Errorf("read journal: %w", j.fault.err)
	}
}
