package baseline

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/slo"
)

var day = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// seen is a detector that has seen n samples, the first of them on a day.
func seen(first time.Time, n int) *anomaly.Detector {
	d := anomaly.New()
	for i := range n {
		d.Observe(first.Add(time.Duration(i)*time.Minute), float64(i*7919%1000))
	}
	return d
}

var (
	web  = series.Key{Signal: "unit.cpu", Of: "web.service"}
	host = series.Key{Signal: "host.cpu.busy"}

	objective = series.Key{Signal: "slo.checkout.burn", Of: "checkout"}
)

// later is when the newest sample of some is an hour old.
var later = day.Add(16 * time.Hour)

func learnt(d *anomaly.Detector) series.Learned { return series.Learned{Detector: d, Definition: 7} }

func some() Contents {
	t := slo.New(0.99, 24*time.Hour)
	for i := range 100 {
		t.Observe(time.Duration(i)*time.Second, 0.5, float64(i))
	}
	return Contents{
		Learned: map[series.Key]series.Learned{web: learnt(seen(day, 500)), host: learnt(seen(day, 900))},
		Counts:  map[series.Key]rule.Count{objective: {Tracker: t, Definition: 9, At: later}},
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without a file: %v", err)
	}
	want := some()
	for range 2 { // the second one replaces the first
		if err := Write(path, later, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if err != nil || len(got.Learned) != len(want.Learned) || len(got.Counts) != len(want.Counts) {
		t.Fatalf("%d detectors and %d counts: %v", len(got.Learned), len(got.Counts), err)
	}
	same := func(k series.Key, was, is encoding.BinaryAppender) {
		a, _ := was.AppendBinary(nil)
		b, _ := is.AppendBinary(nil)
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not what was written", k)
		}
	}
	for k, l := range want.Learned {
		if same(k, l.Detector, got.Learned[k].Detector); got.Learned[k].Definition != l.Definition {
			t.Errorf("%s is of another definition", k)
		}
	}
	for k, c := range want.Counts {
		same(k, c.Tracker, got.Counts[k].Tracker)
		if g := got.Counts[k]; g.Definition != c.Definition || !g.At.Equal(c.At) {
			t.Errorf("%s: %+v", k, g)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

// TestForgotten: what has had no sample for a month is left out, whatever the others have had, and a name that is too long.
func TestForgotten(t *testing.T) {
	c := some()
	for name, last := range map[string]time.Time{
		"old": later.Add(-31 * 24 * time.Hour), "month": later.Add(-29 * 24 * time.Hour),
		"of a wrong clock": later.Add(400 * 24 * time.Hour), strings.Repeat("x", mostKey+1): later,
	} {
		c.Learned[series.Key{Signal: name}] = learnt(seen(last, 1))
	}
	c.Counts[series.Key{Signal: strings.Repeat("x", mostKey+1)}] = c.Counts[objective]
	b, err := encode(later, c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(b)
	if err != nil || len(got.Learned) != 3 || got.Learned[series.Key{Signal: "month"}].Detector == nil || len(got.Counts) != 1 {
		t.Errorf("%d and %d are kept: %v", len(got.Learned), len(got.Counts), err)
	}
}

// TestMostCounts: of too many the file keeps some.
func TestMostCounts(t *testing.T) {
	c := some()
	for i := range mostCounts {
		c.Counts[series.Key{Signal: strconv.Itoa(i)}] = c.Counts[objective]
	}
	b, _ := encode(later, c)
	if got, err := decode(b); err != nil || len(got.Counts) != mostCounts {
		t.Errorf("%d are kept: %v", len(got.Counts), err)
	}
}

// sealed is a file with a right checksum.
func sealed(body string) []byte {
	b := []byte(heading + body)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestDamaged(t *testing.T) {
	good, _ := encode(later, some())
	body := string(good[len(heading) : len(good)-4])
	version := 1 + 2 + len(host.Signal) + 2 + 8 + 8 // the first byte of the first detector
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"empty":         {nil, "not one of this version"},
		"other version": {[]byte(strings.Replace(string(good), "baseline 2", "baseline 1", 1)), "not one of this version"},
		"heading only":  {[]byte(heading), "damaged"},
		"cut":           {good[:len(good)-7], "damaged"},
		"bit flipped":   {flipped, "damaged"},
		"short key":     {sealed("\x01\x09"), "bytes, not 0"},
		"long key":      {sealed("\x01\xff\xffabc"), "bytes, not 0"},
		"no detector":   {sealed("\x01\x01\x00a\x00\x00"), "bytes, not 0"},
		"no tracker":    {sealed("\x02\x01\x00a\x00\x00"), "bytes, not 0"},
		"other kind":    {sealed("\x03\x01\x00a\x00\x00"), "damaged"},
		"twice":         {sealed(body + body), "damaged"},
		"bad detector":  {sealed(body[:version] + "\x07" + body[version+1:]), "not known"},
	} {
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err == nil || got.Learned != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d detectors, %v, want %q", name, len(got.Learned), err, c.want)
		}
	}
}

// FuzzDecode: whatever is read is written as the same bytes again, but for what is old.
func FuzzDecode(f *testing.F) {
	c := some()
	c.Learned = map[series.Key]series.Learned{host: learnt(seen(day, 30))}
	good, _ := encode(later, c)
	f.Add(string(good[len(heading) : len(good)-4]))
	f.Add("\x01\x01\x00a\x00\x00")
	f.Add("\x02\x01\x00a\x00\x00")
	f.Fuzz(func(t *testing.T, body string) {
		got, err := decode(sealed(body))
		if err != nil {
			return
		}
		b, err := encode(later, got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(b)
		if err != nil || len(again.Learned) > len(got.Learned) || len(again.Counts) != len(got.Counts) {
			t.Fatalf("%d and %d become %d and %d: %v",
				len(got.Learned), len(got.Counts), len(again.Learned), len(again.Counts), err)
		}
	})
}
