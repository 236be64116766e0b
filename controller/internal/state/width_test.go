package state

import (
	"fmt"
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// many is a service with so many hosts and a cap.
func many(t *testing.T, hosts int, most uint32) *fleet {
	f := newFleet(t, service("web", most))
	c := &logpb.Config{Services: []*logpb.Service{service("web", most)}, FleetMax: uint32(hosts)}
	f.configure(c)
	for i := range hosts {
		f.hello(host(i), "web")
	}
	return f
}

func host(i int) string { return fmt.Sprintf("h%02d", i) }

// The first permits are canaries: one, then two, then four, up to the cap.
func TestWidthDoubles(t *testing.T) {
	t.Parallel()
	f := many(t, 20, 5)
	for _, width := range []int{1, 2, 4, 5} {
		var open []*logpb.Grant
		for i := range width {
			open = append(open, f.granted(host(i), "web"))
		}
		code := "width"
		if width == 5 {
			code = "cap" // the width has reached it
		}
		f.refused(code, host(width), "web")
		f.settle(host(0), open[0], servingAgain)
		for i, g := range open[1:] {
			f.settle(host(i+1), g, unused) // neither helps nor harms
		}
	}
	f.indices()
}

// A failure begins with one again; on two hosts in a row nothing goes on until a person resumes, or the
// remedy is another one.
func TestWidthAfterFailures(t *testing.T) {
	t.Parallel()
	f := many(t, 20, 5)
	f.settle(host(0), f.granted(host(0), "web"), servingAgain)
	f.settle(host(1), f.granted(host(1), "web"), failed)
	f.settle(host(1), f.granted(host(1), "web"), failed) // the same host again is not a second host
	g := f.granted(host(2), "web")
	f.refused("width", host(3), "web")
	f.settle(host(2), g, failed)
	r := f.refused("halted", host(4), "web")
	if len(r.GetHolders()) != 2 {
		t.Errorf("the refusal names %v, want the two hosts", r.GetHolders())
	}
	f.granted(host(5), "web", func(r *logpb.Request) { r.Digest = []byte("a new release") })
	f.must(f.resumes("service:web"))
	f.granted(host(6), "web")
}

// A success between two failures breaks the row.
func TestWidthRowIsBroken(t *testing.T) {
	t.Parallel()
	f := many(t, 20, 5)
	f.settle(host(0), f.granted(host(0), "web"), failed)
	f.settle(host(1), f.granted(host(1), "web"), servingAgain)
	f.settle(host(2), f.granted(host(2), "web"), failed)
	f.granted(host(3), "web")
}

// An outcome that nobody can tell counts as a failure.
func TestWidthUnknown(t *testing.T) {
	t.Parallel()
	f := many(t, 20, 5)
	for i := range 2 {
		g := f.granted(host(i), "web")
		f.settle(host(i), g, unknown)
		f.settle(host(i), g, cleared, serving("web"))
	}
	f.refused("halted", host(3), "web")
}
