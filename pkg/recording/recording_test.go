package recording

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// read is all that is in the bytes, one line a value.
func read(data []byte) (out []string, damaged int) {
	damaged = Read(data, func(s Span) bool {
		for i, at := range s.At {
			for _, l := range s.Lanes {
				if v, told := l.Value(i); told {
					out = append(out, fmt.Sprintf("%d %s %v", at-begin.Unix(), l.Key, v))
				}
			}
		}
		return true
	})
	return out, damaged
}

func key(name string) series.Key { return series.Key{Signal: name} }

func TestRoundTrip(t *testing.T) {
	b := NewBlock()
	var want []string
	random := rand.New(rand.NewPCG(1, 2))
	odd := []float64{0, 1, -1, math.Inf(1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)}
	for i := range MaxTicks {
		at := i + i/100*7 // with gaps
		if !b.Tick(begin.Add(time.Duration(at) * time.Second)) {
			t.Fatalf("tick %d is not taken", i)
		}
		add := func(k series.Key, v float64) {
			b.Add(k, v)
			want = append(want, fmt.Sprintf("%d %s %v", at, k, v))
		}
		add(key("a"), 1)
		add(key("b"), odd[random.IntN(len(odd))])
		add(key("c"), random.NormFloat64())
		if i >= 200 {
			add(key("d"), float64(i))
		}
		if i < 50 {
			add(key("e"), math.Float64frombits(random.Uint64()))
		}
	}
	if b.Tick(begin.Add(time.Hour)) {
		t.Error("a full block takes another second")
	}
	got, damaged := read(b.Append(nil))
	if damaged != 0 {
		t.Errorf("%d bytes are damaged", damaged)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestTick: seconds only grow within a block.
func TestTick(t *testing.T) {
	b := NewBlock()
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {time.Second, true}, {1900 * time.Millisecond, false}, {-time.Hour, false}, {time.Minute, true}} {
		if got := b.Tick(begin.Add(c.at)); got != c.want {
			t.Errorf("second %v: %t", c.at, got)
		}
	}
	if got := NewBlock().Append(nil); got != nil {
		t.Errorf("an empty block is %d bytes", len(got))
	}
}

// TestGone: a series that is not told of for a while was unknown then.
func TestGone(t *testing.T) {
	b := NewBlock()
	for i := range 4 {
		b.Tick(begin.Add(time.Duration(i) * time.Second))
		if i%3 == 0 {
			b.Add(key("a"), float64(i))
			b.Add(key("a"), 99) // the second of one second
		}
	}
	got, _ := read(b.Append(nil))
	if diff := cmp.Diff([]string{"0 a 0", "1 a NaN", "2 a NaN", "3 a 3"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestWords: words are those of the block, whatever numbers a store had for them.
func TestWords(t *testing.T) {
	st := series.New()
	st.Intern("something else")
	s := st.Open(key("unit.state"), series.Options{Dim: signal.Text, Event: true})
	b := NewBlock()
	for i, w := range []string{"active", "failed", "active"} {
		s.Set(time.Duration(i), st.Intern(w))
		b.Tick(begin.Add(time.Duration(i) * time.Second))
		b.AddSeries(s, time.Duration(i))
	}
	Read(b.Append(nil), func(sp Span) bool {
		var got []string
		for i := range sp.At {
			v, _ := sp.Lanes[0].Value(i)
			got = append(got, sp.Words[int(v)])
		}
		if diff := cmp.Diff([]string{"active", "failed", "active"}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		return true
	})
}

// TestDamage: every byte of a recording is damaged in turn, and it is cut off at every byte. Never is more than the
// block with that byte lost, and what is read is what was written.
func TestDamage(t *testing.T) {
	var whole []byte
	var want [][]string
	var ends []int
	for n := range 3 {
		b := NewBlock()
		for i := range 5 {
			b.Tick(begin.Add(time.Duration(100*n+i) * time.Second))
			b.Add(key("a"), float64(n*10+i))
		}
		whole = b.Append(whole)
		lines, _ := read(b.Append(nil))
		want, ends = append(want, lines), append(ends, len(whole))
	}
	without := func(hit int) (out []string) {
		for n, lines := range want {
			if n != hit {
				out = append(out, lines...)
			}
		}
		return out
	}
	for at := range whole {
		hit := 0
		for at >= ends[hit] {
			hit++
		}
		broken := append([]byte(nil), whole...)
		broken[at] ^= 0x55
		got, damaged := read(broken)
		if diff := cmp.Diff(without(hit), got); diff != "" || damaged == 0 {
			t.Fatalf("byte %d: %d bytes are damaged (-want +got)\n%s", at, damaged, diff)
		}
		cut, _ := read(whole[:at])
		if diff := cmp.Diff(append([]string(nil), without(2)[:5*min(hit, 2)]...), cut); diff != "" {
			t.Fatalf("cut at byte %d (-want +got)\n%s", at, diff)
		}
	}
}

// TestHostile: frames that each claim all the rest, as no damage does, cost no more time than their number of bytes.
func TestHostile(t *testing.T) {
	for name, sum := range map[string]bool{"wrong checksums": false, "checksums that hold over no block": true} {
		data := make([]byte, 40_000)
		for at := len(data) - 2*frame; at >= 0; at -= frame {
			payload := data[at+frame:]
			copy(data[at:], magic[:])
			binary.LittleEndian.PutUint32(data[at+4:], uint32(len(payload)))
			if sum {
				binary.LittleEndian.PutUint32(data[at+8:], crc32.Checksum(payload, castagnoli))
			}
		}
		damaged, wasted := scan(data, func(Span) bool { return true })
		if damaged != len(data) || wasted > (vain+1)*len(data) {
			t.Errorf("%s: %d of %d bytes are damaged, %d looked at for nothing", name, damaged, len(data), wasted)
		}
	}
}

// TestNext: the order of names is that of their making, also beside files that others put there.
func TestNext(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  string
	}{
		{nil, "000000000001.slr"},
		{[]string{"000000000001.slr", "000000000009.slr"}, "000000000010.slr"},
		{[]string{"000000000003.slr", "web-1.slr"}, "000000000004.slr"},
		{[]string{"99999999999999999999.slr"}, "000000000001.slr"},
	} {
		if got := Next(c.files); got != c.want {
			t.Errorf("after %q comes %s, want %s", c.files, got, c.want)
		}
	}
}

// TestImpossibleBits: what no column can hold is damage, not a value.
func TestImpossibleBits(t *testing.T) {
	for name, put := range map[string]func(*bitWriter){
		"more than 64 bits differ":                 func(w *bitWriter) { w.put(0b11, 2); w.put(31, 5); w.put(63, 6); w.put(0, 64) },
		"the same bits as before, which were none": func(w *bitWriter) { w.put(0b10, 2); w.put(0, 62) },
		"the end is missing":                       func(w *bitWriter) { w.put(0b11, 2); w.put(0, 5); w.put(63, 6) },
	} {
		var w bitWriter
		put(&w)
		if got, ok := values(w.buf, 1); ok {
			t.Errorf("%s: it reads as %v", name, got)
		}
	}
}

// FuzzRead feeds anything: it ends, and all that it gives can be read.
func FuzzRead(f *testing.F) {
	b := NewBlock()
	for i := range 3 {
		b.Tick(begin.Add(time.Duration(i) * time.Second))
		b.Add(key("host.cpu.busy"), float64(i)/3)
	}
	f.Add(b.Append(nil))
	f.Add(b.Append(b.Append([]byte("rubbish"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if payload, ok := framed(data); ok { // the checksum keeps a fuzzer out of here
			parse(payload)
		}
		parse(data)
		if _, damaged := read(data); damaged > len(data) {
			t.Fatalf("%d of %d bytes are damaged", damaged, len(data))
		}
	})
}

// BenchmarkBlock records five minutes of a host with fifty services: half the signals rest, as units' states and limits
// do, the others move as CPU and memory figures do.
func BenchmarkBlock(b *testing.B) {
	const count = 1000
	keys := make([]series.Key, count)
	for i := range keys {
		keys[i] = series.Key{Signal: "unit.memory_bytes", Of: fmt.Sprintf("worker@%d.service", i)}
	}
	random := rand.New(rand.NewPCG(1, 2))
	size, samples := 0, 0
	for b.Loop() {
		block := NewBlock()
		for i := range MaxTicks {
			block.Tick(begin.Add(time.Duration(i) * time.Second))
			for n, k := range keys {
				v := 1.0
				switch {
				case n%4 == 1: // a share of CPU time, in ticks of the kernel
					v = float64(random.IntN(100)) / 100
				case n%4 == 3: // bytes, in pages
					v = float64(100<<20 + random.IntN(64)<<12)
				}
				block.Add(k, v)
			}
		}
		size, samples = size+len(block.Append(nil)), samples+count*MaxTicks
	}
	b.ReportMetric(float64(size)/float64(samples), "bytes/sample")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(samples), "ns/sample")
}
