package baseline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/series"
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
)

func some() map[series.Key]*anomaly.Detector {
	return map[series.Key]*anomaly.Detector{web: seen(day, 500), host: seen(day, 900)}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without a file: %v", err)
	}
	want := some()
	for range 2 { // the second one replaces the first
		if err := Write(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d detectors, want %d: %v", len(got), len(want), err)
	}
	for k, d := range want {
		a, _ := d.AppendBinary(nil)
		b, _ := got[k].AppendBinary(nil)
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not what was written", k)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

// TestForgotten: what has had no sample for a month, seen from the newest one, is left out, and a name that is too long.
func TestForgotten(t *testing.T) {
	learned := some()
	learned[series.Key{Signal: "old"}] = seen(day.Add(-31*24*time.Hour), 10)
	learned[series.Key{Signal: "month"}] = seen(day.Add(-29*24*time.Hour), 10)
	learned[series.Key{Signal: strings.Repeat("x", mostKey+1)}] = seen(day, 10)
	b, err := encode(learned)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(b)
	if err != nil || len(got) != 3 || got[series.Key{Signal: "month"}] == nil {
		t.Errorf("%d are kept: %v", len(got), err)
	}
}

// sealed is a file with a right checksum.
func sealed(body string) []byte {
	b := []byte(heading + body)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestDamaged(t *testing.T) {
	good, _ := encode(some())
	body := string(good[len(heading) : len(good)-4])
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"empty":         {nil, "not one of this version"},
		"other version": {[]byte(strings.Replace(string(good), "baseline 1", "baseline 2", 1)), "not one of this version"},
		"heading only":  {[]byte(heading), "damaged"},
		"cut":           {good[:len(good)-7], "damaged"},
		"bit flipped":   {flipped, "damaged"},
		"short key":     {sealed("\x09"), "bytes, not 0"},
		"long key":      {sealed("\xff\xffabc"), "bytes, not 0"},
		"no detector":   {sealed("\x01\x00a\x00\x00"), "bytes, not 0"},
		"twice":         {sealed(body + body), "damaged"},
		"bad detector":  {sealed(strings.Replace(body, "\x01", "\x07", 1)), ""},
	} {
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d detectors, %v, want %q", name, len(got), err, c.want)
		}
	}
}

// FuzzDecode: whatever is read is written as the same bytes again, but for what is old.
func FuzzDecode(f *testing.F) {
	good, _ := encode(map[series.Key]*anomaly.Detector{host: seen(day, 30)})
	f.Add(string(good[len(heading) : len(good)-4]))
	f.Add("\x01\x00a\x00\x00")
	f.Fuzz(func(t *testing.T, body string) {
		got, err := decode(sealed(body))
		if err != nil {
			return
		}
		b, err := encode(got)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decode(b); err != nil || len(again) > len(got) {
			t.Fatalf("%d become %d: %v", len(got), len(again), err)
		}
	})
}
