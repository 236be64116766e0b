package journalfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest/journaltest"
)

const boot = "0123456789abcdef0123456789abcdef"

// lines reads all texts of one unit, in order.
func lines(t testing.TB, f *File, unit string) []string {
	t.Helper()
	if _, err := f.Refresh(); err != nil {
		t.Fatal(err)
	}
	field, err := f.Field("_SYSTEMD_UNIT")
	if err != nil || field == nil {
		t.Fatalf("field %v, %v", field, err)
	}
	var texts []string
	found := map[string]Data{}
	if err := field.New(func(v []byte, d Data) { found[string(v)] = d }); err != nil {
		t.Fatal(err)
	}
	d := found[unit]
	n, err := d.Len()
	if err != nil {
		t.Fatal(err)
	}
	var e Entry
	room := NewRoom(2048)
	for i := range n {
		offset, err := d.Entry(i)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Read(offset, &e); err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(e.Boot[:]) != boot || e.At != uint64(5_000_000+i) {
			t.Errorf("entry %d: at %d of boot %x", i, e.At, e.Boot)
		}
		text, ok, err := f.Message(&e, room)
		if err != nil || !ok {
			t.Fatalf("entry %d has no text: %v", i, err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// All forms that systemd's own code writes are read: large offsets and small, hashes with and without a key, texts
// that are compressed, repeated, too long, and many more than one array holds.
func TestRealFiles(t *testing.T) {
	for name, env := range map[string][]string{
		"compact": {"SYSTEMD_JOURNAL_COMPACT=1"},
		"regular": {"SYSTEMD_JOURNAL_COMPACT=0"},
		"old":     {"SYSTEMD_JOURNAL_COMPACT=0", "SYSTEMD_JOURNAL_KEYED_HASH=0"},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []journaltest.Entry
			var want []string
			for i := range 3000 {
				e := journaltest.Entry{Boot: boot, At: 5*time.Second + time.Duration(len(want))*time.Microsecond,
					Unit: "web.service", Text: fmt.Sprintf("request %d", i)}
				switch i % 5 {
				case 1:
					e.Text = "the same again"
				case 2:
					e.Text = strings.Repeat(fmt.Sprintf("long %d ", i), 150) // compressed
				case 3:
					e.Unit = "db.service"
				case 4:
					for n := range 70 { // more fields than are looked at
						e.Fields = append(e.Fields, fmt.Sprintf("FIELD_%d=%d", n, n))
					}
				}
				entries = append(entries, e)
				if e.Unit == "web.service" {
					want = append(want, e.Text)
				}
			}
			want = append(want, strings.Repeat("x", 2048))
			entries = append(entries, journaltest.Entry{Boot: boot, At: 5*time.Second + 2400*time.Microsecond,
				Unit: "web.service", Text: strings.Repeat("x", 512<<10)})
			path := filepath.Join(t.TempDir(), "system.journal")
			journaltest.Remote(t, path, env, entries[:1000]...)
			f := open(t, path)
			if got := lines(t, f, "web.service"); len(got) != 800 {
				t.Errorf("%d lines before more are written", len(got))
			}
			journaltest.Remote(t, path, env, entries[1000:]...)
			if diff := cmp.Diff(want, lines(t, f, "web.service")); diff != "" {
				t.Errorf("lines (-want +got):\n%.4000s", diff)
			}
		})
	}
}

// A field is found when it is there, and what it gets later is told once.
func TestValuesAreToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "system.journal")
	at := 5 * time.Second
	journaltest.Remote(t, path, nil, journaltest.Entry{Boot: boot, At: at, Text: "no unit"})
	f := open(t, path)
	if field, err := f.Field("_SYSTEMD_UNIT"); field != nil || err != nil {
		t.Fatalf("%v, %v", field, err)
	}
	write := func(unit string) {
		journaltest.Remote(t, path, nil, journaltest.Entry{Boot: boot, At: at, Unit: unit, Text: "x"})
		if _, err := f.Refresh(); err != nil {
			t.Fatal(err)
		}
	}
	write("a.service")
	field, err := f.Field("_SYSTEMD_UNIT")
	if field == nil || err != nil {
		t.Fatalf("%v, %v", field, err)
	}
	told := func() (all []string) {
		if err := field.New(func(v []byte, _ Data) { all = append(all, string(v)) }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	first := told()
	write("b.service")
	write("a.service")
	write("c.service")
	want := [][]string{{"a.service"}, {"c.service", "b.service"}, nil}
	if diff := cmp.Diff(want, [][]string{first, told(), told()}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What is no journal, or one of a kind that is not known, is an error of its own.
func TestWhatCannotBeOpened(t *testing.T) {
	good := small(false)
	change := func(at int, b ...byte) []byte {
		text := append([]byte(nil), good...)
		copy(text[at:], b)
		return text
	}
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"empty":      {nil, ErrBlank},
		"text":       {[]byte(strings.Repeat("no journal", 100)), ErrDamaged},
		"cut":        {good[:100], ErrDamaged},
		"XZ":         {change(12, 0x01), ErrUnknown},
		"new format": {change(12, 0x20), ErrUnknown},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
