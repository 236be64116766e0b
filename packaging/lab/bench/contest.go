package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// running is a program under way.
type running interface {
	PID() int
	Stop()
}

// rival is one of those who do the same work, each in a process of its own.
type rival struct {
	name  string
	start func(ctx context.Context, dir string) (running, error)
}

// contender is a rival with what was measured of it.
type contender struct {
	Name  string
	Tries []Try
}

// Try is what a process used while it did something so many times.
type Try struct {
	CPU, Took time.Duration
	Count     int64
	RSS       int64 // bytes, at the end
}

// Each is the processor time that doing it once took, with all else that the process does meanwhile.
func (t Try) Each() time.Duration { return t.CPU / time.Duration(max(1, t.Count)) }

// Rate is how often it was done in a second.
func (t Try) Rate() float64 { return float64(t.Count) / t.Took.Seconds() }

// Cores is how many processors it kept busy.
func (t Try) Cores() float64 { return t.CPU.Seconds() / t.Took.Seconds() }

// median is the try in the middle, by what once took; worst is the one where it took longest.
func (c contender) median() Try { return c.sorted()[len(c.Tries)/2] }
func (c contender) worst() Try  { return c.sorted()[len(c.Tries)-1] }

func (c contender) sorted() []Try {
	return slices.SortedFunc(slices.Values(c.Tries), func(a, b Try) int { return int(a.Each() - b.Each()) })
}

// warm is how often a rival has done it before it is watched.
const warm = 10

// contest lets the rivals work in turns; count is how often it was done so far, by whomever.
func (s *Sources) contest(ctx context.Context, count func() int64, rivals ...rival) ([]contender, error) {
	all := make([]contender, len(rivals))
	for range s.opts.Tries {
		for i, r := range rivals {
			t, err := s.turn(ctx, r, count)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			all[i].Name, all[i].Tries = r.name, append(all[i].Tries, t)
			s.logf("%s: %v each, %.0f a second, %.1f MiB", r.name, t.Each(), t.Rate(), mib(t.RSS))
		}
	}
	return all, nil
}

// turn starts a rival, watches it at work, and stops it.
func (s *Sources) turn(ctx context.Context, r rival, count func() int64) (t Try, err error) {
	err = s.within(func(dir string) error {
		p, err := r.start(ctx, dir)
		if err != nil {
			return err
		}
		defer p.Stop()
		if err := await(ctx, count, count()+warm); err != nil {
			return fmt.Errorf("%w\n%s", err, rig.LastLines(logOf(dir), logLines))
		}
		t, err = watch(ctx, p.PID(), count, s.opts.Watch)
		return err
	})
	return t, err
}

// within gives do a folder that is gone afterwards.
func (s *Sources) within(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "salve-bench-")
	if err != nil {
		return err
	}
	return errors.Join(do(dir), os.RemoveAll(dir))
}

// await waits until count is want.
func await(ctx context.Context, count func() int64, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	for count() < want {
		if ctx.Err() != nil {
			return fmt.Errorf("it does not do its work: %d of %d: %w", count(), want, ctx.Err())
		}
		wait(ctx, 10*time.Millisecond)
	}
	return nil
}

// watch measures a process for d.
func watch(ctx context.Context, pid int, count func() int64, d time.Duration) (Try, error) {
	began, from := time.Now(), count()
	before, err := rig.CPU(pid)
	if err != nil {
		return Try{}, err
	}
	wait(ctx, d)
	after, err := rig.CPU(pid)
	if err != nil {
		return Try{}, err
	}
	t := Try{CPU: after - before, Took: time.Since(began), Count: count() - from}
	m, err := rig.MemoryOf(pid)
	t.RSS = m.RSS
	return t, errors.Join(err, ctx.Err())
}
