package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Op is what a caller did.
type Op int

// What callers do. Each is one command that the other side has to commit before it answers.
const (
	Grant  Op = iota // a permit was asked for and granted
	Settle           // a permit was settled
	Put              // a key was written, in etcd
	ops
)

// Caller does one operation after the other, and waits for each.
type Caller interface {
	// Next does one operation and says which and how long it took, from before it was sent until its answer
	// was read.
	Next(ctx context.Context) (Op, time.Duration, error)
	// Finish ends what Next began, so that the next run starts with nothing open.
	Finish(ctx context.Context) error
}

// Plan is one measurement.
type Plan struct {
	Warm time.Duration // not counted
	For  time.Duration // counted
}

// Figures are what came of a measurement.
type Figures struct {
	Elapsed time.Duration
	Done    int64 // operations, those that do not count too
	took    [ops]Samples
}

// Took are the times of one operation.
func (f *Figures) Took(op Op) Samples { return f.took[op] }

// Rate is how many of the operations were done a second.
func (f *Figures) Rate(all ...Op) float64 {
	n := 0
	for _, op := range all {
		n += len(f.took[op])
	}
	return float64(n) / f.Elapsed.Seconds()
}

// finishTime is how long callers may take to end what they began.
const finishTime = 30 * time.Second

// Drive lets all callers work side by side, each as fast as it is answered, and counts the operations that
// end within the plan's time. Both sides of a comparison are driven by it. The first error ends it.
func Drive(ctx context.Context, callers []Caller, p Plan) (*Figures, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Warm+p.For+finishTime, errors.New("callers do not come to an end"))
	defer cancel()
	begin := time.Now().Add(p.Warm)
	end := begin.Add(p.For)
	took := make([][ops]Samples, len(callers))
	done := make([]int64, len(callers))
	errs := make([]error, len(callers))
	var all sync.WaitGroup
	for i, c := range callers {
		all.Go(func() {
			if errs[i] = drive(ctx, c, begin, end, &took[i], &done[i]); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	if err := firstCause(errs); err != nil {
		if errors.Is(err, context.Canceled) {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("drive %d callers: %w", len(callers), err)
	}
	f := &Figures{Elapsed: p.For}
	for _, n := range done {
		f.Done += n
	}
	for op := range ops {
		for i := range took {
			f.took[op] = append(f.took[op], took[i][op]...)
		}
		f.took[op].sort()
	}
	return f, nil
}

// drive is one caller's work.
func drive(ctx context.Context, c Caller, begin, end time.Time, took *[ops]Samples, done *int64) error {
	for {
		op, d, err := c.Next(ctx)
		if err != nil {
			return err
		}
		*done++
		now := time.Now()
		if now.After(end) {
			return c.Finish(ctx)
		}
		if now.After(begin) {
			took[op] = append(took[op], d)
		}
	}
}

// firstCause is an error that is not just the echo of another one's.
func firstCause(errs []error) error {
	var echo error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled):
			echo = err
		default:
			return err
		}
	}
	return echo
}
