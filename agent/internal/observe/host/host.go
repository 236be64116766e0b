// Package host samples the machine: CPU, load, memory, pressure, devices, network, kernel limits and
// the clock from files of /proc and /sys that are kept open, and file systems in a goroutine of
// their own, because a file system can hang.
package host

import (
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// Every is the period at which Sample is meant to be called.
const Every = time.Second

// Options are what a Sampler and Disks need.
type Options struct {
	// Root is the folder that holds /proc and /sys; "" means "/". Tests put fixtures there.
	Root string
	// Book gives the handles. It is mandatory.
	Book *source.Book
	// Needed says whether a signal family is worth sampling; nil means that all are.
	Needed func(family string) bool
	// Keys, if set, is told the instances of a keyed family whenever they change, sorted. It is called
	// from the goroutine that samples and must not block.
	Keys func(family string, keys []string)
	// Changed, if set, is told when a part begins to fail (err is why) or works again (nil).
	Changed func(part string, err error)
}

func (o Options) path(name string) string { return filepath.Join("/", o.Root, name) }

// instances tells the keys of a family to whom it may concern.
func (o Options) instances(family string, keys []string) {
	if o.Keys != nil {
		o.Keys(family, keys)
	}
}

func (o Options) changed(part string, err error) {
	if o.Changed != nil {
		o.Changed(part, err)
	}
}

// Sampler reads the cheap figures of the host. It belongs to one goroutine, except Stats.
type Sampler struct {
	opt   Options
	parts []*part
	tick  int
	buf   [64 << 10]byte
}

// part is what one or two files tell.
type part struct {
	reader
	meter   source.Meter
	nth     int // sampled at every nth tick
	handles []*source.Handle
}

// reader reads one part. It adds the samples to b, or returns an error; then all handles of the part
// become unknown.
type reader interface {
	read(now time.Duration, b *source.Batch, buf []byte) error
	close()
}

// New makes a sampler of the parts that are needed.
func New(o Options) *Sampler {
	s := &Sampler{opt: o}
	for _, p := range table {
		if o.Needed != nil && !p.needed(o.Needed) {
			continue
		}
		s.parts = append(s.parts, p.make(o))
	}
	return s
}

// Sample adds the figures of now to b. Parts with a longer period are left out in between.
func (s *Sampler) Sample(now time.Duration, b *source.Batch) {
	for _, p := range s.parts {
		if s.tick%p.nth == 0 {
			s.sample(p, now, b)
		}
	}
	s.tick++
}

// Pressure adds the pressure figures only: for the moment at which the kernel says that there is some.
func (s *Sampler) Pressure(now time.Duration, b *source.Batch) {
	for _, p := range s.parts {
		if _, ok := p.reader.(*pressure); ok {
			s.sample(p, now, b)
		}
	}
}

func (s *Sampler) sample(p *part, now time.Duration, b *source.Batch) {
	start, had := time.Now(), len(b.Samples)
	err := p.read(now, b, s.buf[:])
	if err != nil {
		b.Samples = b.Samples[:had]
		for _, h := range p.handles {
			b.Unknown(h, now)
		}
	}
	if absent(err) {
		err = nil
	}
	if p.meter.Record(now, time.Since(start), err) {
		s.opt.changed(p.meter.Name, err)
	}
}

// absent reports whether the kernel does not have what was asked for: connection tracking that is
// not loaded, pressure information that is switched off. That is no failure of the source.
func absent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)
}

// Stats are the figures of each part about itself.
func (s *Sampler) Stats() []source.Stats {
	stats := make([]source.Stats, len(s.parts))
	for i, p := range s.parts {
		stats[i] = p.meter.Stats()
	}
	return stats
}

// Close closes all files.
func (s *Sampler) Close() {
	for _, p := range s.parts {
		p.close()
	}
}
