package journalfile

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// builder writes the smallest journal files: what a fuzz test begins with, and what systemd of today does not write.
type builder struct {
	b       []byte
	compact bool
}

func (w *builder) put(at int, v uint64) { binary.LittleEndian.PutUint64(w.b[at:], v) }

// object appends one and returns its offset.
func (w *builder) object(typ, flags byte, body ...[]byte) uint64 {
	at := len(w.b)
	w.b = append(w.b, typ, flags, 0, 0, 0, 0, 0, 0)
	w.b = append(w.b, make([]byte, 8)...)
	for _, part := range body {
		w.b = append(w.b, part...)
	}
	w.put(at+8, uint64(len(w.b)-at))
	w.b = append(w.b, make([]byte, -len(w.b)&7)...)
	return uint64(at)
}

func words(v ...uint64) (b []byte) {
	for _, n := range v {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func (w *builder) offsets(v ...uint64) (b []byte) {
	for _, n := range v {
		if w.compact {
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		} else {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	return b
}

// data appends a data object: hash, next of the hash, next of the field, first entry, array, number of entries.
func (w *builder) data(flags byte, payload string, next, entry, array, n uint64) uint64 {
	tail := []byte(nil)
	if w.compact {
		tail = make([]byte, 8)
	}
	return w.object(typeData, flags, words(0, 0, next, entry, array, n), tail, []byte(payload))
}

func (w *builder) entry(at uint64, items ...uint64) uint64 {
	id, _ := hex.DecodeString(boot)
	var list []byte
	for _, i := range items {
		list = append(list, w.offsets(i)...)
		if !w.compact {
			list = append(list, make([]byte, 8)...)
		}
	}
	return w.object(typeEntry, 0, words(0, 0, at), id, words(0), list)
}

// packed is "MESSAGE=" and "hello " 100 times, as liblz4 packs it, behind the size of the whole.
const packed = "6002000000000000" + "ef4d4553534147453d68656c6c6f200600ffff3c50656c6c6f20"

// small is a file with three entries of web.service, the second one with a text that LZ4 packed.
func small(compact bool) []byte {
	w := &builder{b: make([]byte, headerSize+32), compact: compact}
	copy(w.b, "LPKSHHRH")
	w.b[12] = flagLZ4
	if compact {
		w.b[12] |= 0x10
	}
	field := w.object(typeField, 0, words(0, 0, 0), []byte("_SYSTEMD_UNIT"))
	other := w.object(typeField, 0, words(0, 0, 0), []byte("_TRANSPORT"))
	unit := w.data(0, "_SYSTEMD_UNIT=web.service", 0, 0, 0, 3)
	p, _ := hex.DecodeString(packed)
	texts := []uint64{
		w.data(0, "MESSAGE=first", 0, 0, 0, 1), w.data(flagLZ4, string(p), 0, 0, 0, 1), w.data(0, "MESSAGE=", 0, 0, 0, 1),
	}
	var entries []uint64
	for i, t := range texts {
		entries = append(entries, w.entry(uint64(5_000_000+i), unit, t))
	}
	first := w.object(typeArray, 0, words(0), w.offsets(entries[1]))
	second := w.object(typeArray, 0, words(0), w.offsets(entries[2], 0))
	w.put(int(first)+16, second)
	w.put(int(unit)+40, entries[0])
	w.put(int(unit)+48, first)
	w.put(int(field)+32, unit)
	w.put(headerSize, field)
	w.put(headerSize+8, other)
	w.put(int(field)+24, other) // the next in the bucket
	w.put(120, headerSize)
	w.put(128, 32)
	w.put(152, 3)
	w.put(216, 2)
	return w.b
}

func write(t testing.TB, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "system.journal")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSmallFile(t *testing.T) {
	for _, compact := range []bool{false, true} {
		got := lines(t, open(t, write(t, small(compact))), "web.service")
		if diff := cmp.Diff([]string{"first", strings.Repeat("hello ", 100), ""}, got); diff != "" {
			t.Errorf("compact %v (-want +got):\n%s", compact, diff)
		}
	}
}

// The text of LZ4 may be cut off wherever it is full, and its packed bytes wherever they end.
func TestLZ4(t *testing.T) {
	p, _ := hex.DecodeString(packed)
	want := "MESSAGE=" + strings.Repeat("hello ", 100)
	for room := range len(want) + 10 {
		plain := make([]byte, room)
		if n := lz4(plain, p[8:]); string(plain[:n]) != want[:min(room, len(want))] {
			t.Fatalf("room for %d: %q", room, plain[:n])
		}
	}
	for end := 8; end < len(p); end++ {
		plain := make([]byte, 1000)
		if n := lz4(plain, p[8:end]); !strings.HasPrefix(want, string(plain[:n])) {
			t.Fatalf("%d bytes packed: %q", end, plain[:n])
		}
	}
}

// walk reads everything as the agent does, and reports how many entries it could.
func walk(f *File) (read int, err error) {
	for _, name := range []string{"_SYSTEMD_UNIT", "_TRANSPORT", "NONE"} {
		field, err := f.Field(name)
		if err != nil {
			return read, err
		}
		if field == nil {
			continue
		}
		var all []Data
		if err := field.New(func(_ []byte, d Data) { all = append(all, d) }); err != nil {
			return read, err
		}
		for _, d := range all {
			n, err := d.Len()
			if err != nil {
				return read, err
			}
			if n > 0 {
				if _, err := d.Entry(n - 1); err != nil {
					return read, err
				}
			}
			var e Entry
			for i := range min(n, 100) {
				offset, err := d.Entry(i)
				if err != nil {
					return read, err
				}
				if err := f.Read(offset, &e); err != nil {
					return read, err
				}
				if _, _, err := f.Message(&e, NewRoom(64)); err != nil {
					return read, err
				}
				read++
			}
		}
	}
	return read, nil
}

// A list that leads back to where it was would have no end.
func TestCirclesAreDamage(t *testing.T) {
	for name, at := range map[string]struct {
		object string
		offset int
	}{
		"fields":  {"_TRANSPORT", 24},
		"values":  {"_SYSTEMD_UNIT=web.service", 32},
		"entries": {"", 16},
	} {
		text := small(false)
		where := strings.Index(string(text), at.object) - 40
		switch name {
		case "values":
			where = strings.Index(string(text), at.object) - 64
		case "entries":
			where = len(text) - 40 // the second array
			binary.LittleEndian.PutUint64(text[strings.Index(string(text), "_SYSTEMD_UNIT=web")-8:], 1<<50)
		}
		binary.LittleEndian.PutUint64(text[where+at.offset:], uint64(where))
		if _, err := walk(open(t, write(t, text))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file may end anywhere, also in the middle of an entry.
func TestCutEntry(t *testing.T) {
	for _, compact := range []bool{false, true} {
		w := &builder{b: small(compact), compact: compact}
		at := w.entry(1, 8, 16)
		for n := int(at) + 64; n < len(w.b); n += 2 {
			var e Entry
			err := open(t, write(t, w.b[:n])).Read(at, &e)
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("compact %v, cut at %d: %v", compact, n-int(at), err)
			}
		}
	}
}

// A text that is not packed is read to its end, or to that of the room.
func TestLongText(t *testing.T) {
	w := &builder{b: small(false)}
	long := strings.Repeat("x", 3000)
	at := w.entry(1, w.data(0, "MESSAGE="+long, 0, 0, 0, 1))
	f := open(t, write(t, w.b))
	var e Entry
	if err := f.Read(at, &e); err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{100, 2000, 5000} {
		if text, ok, err := f.Message(&e, NewRoom(room)); string(text) != long[:min(room, 3000)] || !ok || err != nil {
			t.Errorf("room for %d: %d bytes, %v, %v", room, len(text), ok, err)
		}
	}
}

// Everything that is read is reached by the fuzz test's seeds.
func TestWalkReadsAll(t *testing.T) {
	for _, compact := range []bool{false, true} {
		if n, err := walk(open(t, write(t, small(compact)))); n != 3 || err != nil {
			t.Errorf("compact %v: %d entries, %v", compact, n, err)
		}
	}
}

// FuzzFile reads damaged files: it must end soon, with an error or without.
func FuzzFile(f *testing.F) {
	f.Add(small(false))
	f.Add(small(true))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path)
		if err != nil {
			return
		}
		defer j.Close()
		if _, err := walk(j); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%v is not said to be damage", err)
		}
	})
}

// FuzzUnpack unpacks anything; none is longer than its room.
func FuzzUnpack(f *testing.F) {
	p, _ := hex.DecodeString(packed)
	f.Add(byte(flagLZ4), p)
	f.Add(byte(flagZSTD), []byte("\x28\xb5\x2f\xfd\x20\x0a\x51\x00\x00MESSAGE=hi"))
	r := NewRoom(100)
	f.Fuzz(func(t *testing.T, flags byte, packed []byte) {
		if n := r.unpack(flags, packed); n < 0 || n > len(messageIs)+100 {
			t.Errorf("%d bytes", n)
		}
	})
}
