// Package record writes what signals were to a ring of files, so that rules can be tried on it later. What it costs is
// bounded: one value a second of each signal, a few minutes in memory, and so many bytes on disk. It is never a reason
// for anything else to wait or to fail.
package record

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
)

const (
	files = 8 // that the ring is made of: the oldest goes at once
	queue = 2 // blocks that may wait for the disk
)

// Options of a recorder. All are required.
type Options struct {
	Dir   string // made if it is not there
	Limit int64  // bytes of all files together
	Log   hclog.Logger
}

// Recorder keeps the last values of all signals. Second belongs to one goroutine, Run to another; Close comes after
// both.
type Recorder struct {
	o      Options
	block  *recording.Block
	out    chan []byte
	file   *os.File // that is being written; nil: the next block begins one
	size   int64    // of file
	failed bool     // the last write failed, which was told
}

// New prepares a recorder.
func New(o Options) (*Recorder, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of recordings: %w", err)
	}
	return &Recorder{o: o, block: recording.NewBlock(), out: make(chan []byte, queue)}, nil
}

// Second takes what is known of every signal now, and of which services ("" is the host) an incident is open. It
// returns at once; what the disk is too slow for is lost.
func (r *Recorder) Second(now clock.Instant, st *series.Store, open map[string]bool) {
	if r.block.Last() == now.Wall.Unix() {
		return // the engine ticks out of turn when systemd's own state changes
	}
	if !r.block.Tick(now.Wall) { // it is full, or the clock was set back
		select {
		case r.out <- r.block.Append(nil):
		default:
			r.o.Log.Warn("the disk is too slow for the recording: some minutes are lost")
		}
		r.block = recording.NewBlock()
		r.block.Tick(now.Wall)
	}
	for _, s := range st.All() {
		r.block.AddSeries(s, now.Boot)
	}
	for service, is := range open {
		v := 0.0
		if is {
			v = 1
		}
		r.block.Add(series.Key{Signal: recording.IncidentOpen, Of: service}, v)
	}
}

// Run writes blocks until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		select {
		case b := <-r.out:
			r.write(b)
		case <-ctx.Done():
			return nil
		}
	}
}

// Close writes what is left.
func (r *Recorder) Close() error {
	for len(r.out) > 0 {
		r.write(<-r.out)
	}
	r.write(r.block.Append(nil))
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// write appends a block to the ring. A disk that takes nothing is told once, until it does again.
func (r *Recorder) write(block []byte) {
	if len(block) == 0 {
		return
	}
	err := r.append(block)
	if err != nil && !r.failed {
		r.o.Log.Error("cannot record signals, some minutes are lost", "error", err)
	}
	r.failed = err != nil
}

func (r *Recorder) append(block []byte) error {
	if r.file != nil && r.size+int64(len(block)) > r.o.Limit/files {
		err := r.file.Close()
		if r.file = nil; err != nil {
			return err
		}
	}
	if err := r.makeRoom(int64(len(block))); err != nil {
		return err
	}
	if r.file == nil {
		names, err := recording.Files(os.DirFS(r.o.Dir))
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(r.o.Dir, recording.Next(names)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		r.file, r.size = f, 0
	}
	n, err := r.file.Write(block)
	r.size += int64(n)
	return err
}

// makeRoom removes the oldest files until so many bytes more are within the limit. For what can never be, none goes.
func (r *Recorder) makeRoom(more int64) error {
	if more > r.o.Limit {
		return fmt.Errorf("a block of %d bytes is more than the whole recording may be", more)
	}
	names, err := recording.Files(os.DirFS(r.o.Dir))
	if err != nil {
		return err
	}
	sizes, total := make([]int64, len(names)), more
	for i := range names {
		names[i] = filepath.Join(r.o.Dir, names[i])
		info, err := os.Stat(names[i])
		if err != nil {
			return err
		}
		sizes[i] = info.Size()
		total += sizes[i]
	}
	for i, name := range names {
		if total <= r.o.Limit {
			return nil
		}
		if r.file != nil && name == r.file.Name() {
			err := r.file.Close()
			if r.file = nil; err != nil {
				return err
			}
		}
		if err := os.Remove(name); err != nil {
			return err
		}
		total -= sizes[i]
	}
	return nil
}
