package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// figure is one thing that is measured of a process.
type figure int

const (
	rss figure = iota
	heap
	descriptors
	goroutines
	threads
	data
	figures // how many there are
)

var figureNames = [figures]string{"resident MiB", "heap MiB", "descriptors", "goroutines", "threads", "data MiB"}

// sample is all figures of a process at one moment.
type sample struct {
	at time.Duration // since the beginning
	is [figures]float64
}

// subject is a process that is watched.
type subject struct {
	name, kind string
	pid        int
	metrics    string // address of /metrics
	data       string // folder
	samples    []sample
}

const mebi = 1 << 20

// take measures a process once.
func (x *subject) take(ctx context.Context, at time.Duration) error {
	s := sample{at: at}
	if err := x.fromMetrics(ctx, &s); err != nil {
		return err
	}
	m, err := rig.MemoryOf(x.pid)
	if err != nil {
		return err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", x.pid))
	if err != nil {
		return err
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", x.pid))
	if err != nil {
		return err
	}
	s.is[rss], s.is[descriptors], s.is[threads] = float64(m.RSS)/mebi, float64(len(open)), float64(len(tasks))
	if s.is[data], err = size(x.data); err != nil {
		return err
	}
	x.samples = append(x.samples, s)
	return nil
}

// fromMetrics reads what only the process itself knows.
func (x *subject) fromMetrics(ctx context.Context, s *sample) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, err := rig.Get(ctx, "http://"+x.metrics+"/metrics")
	if err != nil {
		return err
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
			continue
		case name == "go_memstats_heap_inuse_bytes":
			s.is[heap] = v / mebi
		case name == "go_goroutines":
			s.is[goroutines] = v
		default:
			continue
		}
		found++
	}
	if found != 2 {
		return fmt.Errorf("%s/metrics has %d of 2 figures", x.metrics, found)
	}
	return nil
}

// size is how many MiB a folder's files have. One that goes away meanwhile counts as nothing.
func size(dir string) (float64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		sum += info.Size()
		return nil
	})
	return float64(sum) / mebi, err
}

func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
