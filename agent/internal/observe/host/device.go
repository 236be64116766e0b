package host

import (
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/signal"
)

// mostDevices bounds how many instances of a family are sampled, for hosts with thousands of
// container interfaces.
const mostDevices = 128

// devices keeps the instances of one family apart by name. D is what is kept for each.
type devices[D any] struct {
	opt    Options
	family string
	known  map[string]*device[D]
	round  int
}

type device[D any] struct {
	data    D
	handles []*source.Handle // none: the device is left out
	round   int              // the last round in which it was there
}

// find is the device of that name; nil when it is left out. A new name is passed to wanted. Looking
// up a known name does not allocate.
func (d *devices[D]) find(name []byte, wanted func(string) bool, fields ...string) *device[D] {
	dev := d.known[string(name)]
	if dev == nil {
		dev = d.add(string(name), wanted, fields)
	}
	dev.round = d.round
	if dev.handles == nil {
		return nil
	}
	return dev
}

func (d *devices[D]) add(name string, wanted func(string) bool, fields []string) *device[D] {
	dev := &device[D]{}
	d.known[name] = dev
	if !wanted(name) || len(d.names()) >= mostDevices {
		return dev
	}
	for _, f := range fields {
		path := signal.Path{Family: d.family, Key: name, Field: f}
		dev.handles = append(dev.handles, d.opt.Book.Handle(path.String(), ""))
	}
	d.opt.instances(d.family, d.names())
	return dev
}

// sweep ends a round: what was not there becomes unknown and is forgotten.
func (d *devices[D]) sweep(now time.Duration, b *source.Batch) {
	gone := false
	for name, dev := range d.known {
		if dev.round == d.round {
			continue
		}
		for _, h := range dev.handles {
			b.Unknown(h, now)
			gone = true
		}
		delete(d.known, name)
	}
	d.round++
	if gone {
		d.opt.instances(d.family, d.names())
	}
}

func (d *devices[D]) names() []string {
	var names []string
	for name, dev := range d.known {
		if dev.handles != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
