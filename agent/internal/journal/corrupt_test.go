package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// sample makes a journal with branches, overflow pages and free pages, and returns its bytes and records.
func sample(t testing.TB) ([]byte, map[string]string) {
	t.Helper()
	dir, hands := t.TempDir(), newHand()
	j, _ := open(t, dir, Options{Clock: hands})
	for i := range 12 {
		inc := story(fmt.Sprintf("%02x", i), clock.Now(hands))
		inc.Evidence = []incident.Evidence{{Title: "journal", Text: strings.Repeat("e", 300*i)}}
		must(t, j.PutIncident(inc))
		must(t, j.PutAttempt(attempt(fmt.Sprint("a", i), inc.ID, clock.Now(hands))))
	}
	must(t, j.Space("delivery").Put("0a", "x"))
	mustClose(t, j)
	file, err := os.ReadFile(filepath.Join(dir, fileName))
	must(t, err)
	return file, records(t, filepath.Join(dir, fileName))
}

// records reads everything through bbolt.
func records(t testing.TB, path string) map[string]string {
	t.Helper()
	db, err := openBolt(path, DefaultLimits())
	must(t, err)
	defer db.Close()
	out := map[string]string{}
	must(t, db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				out[string(name)+"/"+string(k)] = string(v)
				return nil
			})
		})
	}))
	return out
}

// judge inspects a damaged copy: it is refused, or holds exactly what it held.
func judge(t testing.TB, path string, file []byte, want map[string]string, what string) (refused bool) {
	t.Helper()
	h, err := inspect(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		if errors.Is(err, ErrNewer) {
			t.Fatalf("%s: damage taken for a newer version: %v", what, err)
		}
		return true
	}
	must(t, os.WriteFile(path, file, 0o600))
	got := records(t, path)
	if !h.older && !cmp.Equal(want, got) {
		t.Fatalf("%s: approved, but:\n%s", what, cmp.Diff(want, got))
	}
	return false
}

// A file cut anywhere in its last page is set aside; nothing crashes or hangs.
func TestTruncatedAtEveryByteOfTheLastPage(t *testing.T) {
	file, want := sample(t)
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	head, _, err := readHeader(bytes.NewReader(file), int64(len(file)))
	must(t, err)
	used := int(head.pages) * pageSize
	for n := used - pageSize; n < used; n++ {
		if !judge(t, path, file[:n], want, fmt.Sprintf("cut to %d bytes", n)) {
			t.Fatalf("a file cut to %d of %d used bytes was approved", n, used)
		}
		if n%256 != 255 {
			continue
		}
		must(t, os.WriteFile(path, file[:n], 0o600))
		j, r := open(t, dir, Options{})
		if r.SetAside == "" || !r.BudgetUnknown {
			t.Errorf("cut to %d bytes: %+v", n, r)
		}
		must(t, j.PutAttempt(attempt("a", "i", clock.Now(newHand()))))
		mustClose(t, j)
	}
	for n := used; n < len(file); n += 4001 { // nothing was written there yet
		if judge(t, path, file[:n], want, fmt.Sprintf("cut to %d bytes", n)) {
			t.Fatalf("a file cut to %d bytes was refused, %d are in use", n, used)
		}
	}
	for n := range 2 * pageSize {
		if n%61 == 0 && !judge(t, path, file[:n], want, fmt.Sprintf("cut to %d bytes", n)) {
			t.Fatalf("a file cut to %d bytes was approved", n)
		}
	}
}

// Flipped bits in any page are seen, or are where nothing is kept.
func TestFlippedBytesInEveryPage(t *testing.T) {
	file, want := sample(t)
	path := filepath.Join(t.TempDir(), fileName)
	refused, tried := 0, 0
	for page := 0; page < len(file); page += pageSize {
		offsets := []int{0, 1, 2, 7, 8, 9, 10, 11, 12, 15} // every kind of byte in the page's header
		for at := headerSize; at < pageSize; at += 61 {
			offsets = append(offsets, at)
		}
		for i, at := range offsets {
			damaged := slices.Clone(file)
			damaged[page+at] ^= 1 << (i % 8)
			tried++
			if judge(t, path, damaged, want, fmt.Sprintf("bit %d of byte %d flipped", i%8, page+at)) {
				refused++
			}
		}
	}
	t.Logf("%d of %d flips refused", refused, tried)
	if refused < tried/10 {
		t.Errorf("only %d of %d flips were noticed", refused, tried)
	}
}

// A whole page of zeros, as file systems leave it after a power cut.
func TestZeroedPages(t *testing.T) {
	file, want := sample(t)
	path := filepath.Join(t.TempDir(), fileName)
	for page := 0; page < len(file); page += pageSize {
		damaged := slices.Clone(file)
		clear(damaged[page : page+pageSize])
		judge(t, path, damaged, want, fmt.Sprintf("page at %d zeroed", page))
	}
}

// A damaged journal is set aside; the new one has another stream, the same host, and budgets that count as spent.
func TestCorruptJournalIsSetAside(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	j, _ := open(t, dir, Options{Clock: hands})
	host, stream := j.Host(), j.Stream()
	mustClose(t, j)
	path := filepath.Join(dir, fileName)
	damaged, err := os.ReadFile(path)
	must(t, err)
	copy(damaged[2*pageSize:], make([]byte, 2*pageSize))
	must(t, os.WriteFile(path, damaged, 0o600))

	j, r := open(t, dir, Options{Clock: hands})
	want := path + ".corrupt-20260301T120000Z"
	if !r.Created || r.SetAside != want || r.Reason == "" || !r.BudgetUnknown {
		t.Errorf("report %+v", r)
	}
	kept, err := os.ReadFile(want)
	if err != nil || !bytes.Equal(kept, damaged) {
		t.Errorf("the damaged file was not kept as it was: %v", err)
	}
	if j.Host() != host || j.Stream() == stream {
		t.Errorf("host %q→%q, stream %q→%q", host, j.Host(), stream, j.Stream())
	}
	hands.pass(59 * time.Minute)
	mustClose(t, j)
	j, r = open(t, dir, Options{Clock: hands})
	if !r.BudgetUnknown || !j.BudgetUnknown() || r.SetAside != "" {
		t.Errorf("59 min later, after a restart: %+v", r)
	}
	hands.pass(2 * time.Minute)
	if j.BudgetUnknown() {
		t.Error("budget still unknown after 61 min")
	}
	mustClose(t, j)
	must(t, os.WriteFile(path, nil, 0o600)) // emptied, as by a file system after a power cut
	hands.pass(-61 * time.Minute)
	if _, r = open(t, dir, Options{Clock: hands}); r.SetAside != want+".1" || !r.BudgetUnknown {
		t.Errorf("second loss in the same second: %+v", r)
	}
}

func TestDamagedHeaderMeansThatTheLastCommitMayBeMissing(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{})
	must(t, j.PutAttempt(attempt("a", "i", clock.Now(newHand()))))
	mustClose(t, j)
	path := filepath.Join(dir, fileName)
	file, err := os.ReadFile(path)
	must(t, err)
	for page := range 2 {
		damaged := slices.Clone(file)
		damaged[page*pageSize+headerSize+50] ^= 1
		must(t, os.WriteFile(path, damaged, 0o600))
		j, r := open(t, dir, Options{})
		if !r.Older || !r.BudgetUnknown || r.SetAside != "" {
			t.Errorf("header %d: %+v", page, r)
		}
		mustClose(t, j)
		j, r = open(t, dir, Options{})
		if r.Older || !r.BudgetUnknown {
			t.Errorf("header %d, next start: %+v", page, r)
		}
		mustClose(t, j)
	}
}

func TestNewerFormatIsRefusedUntouched(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{})
	mustClose(t, j)
	path := filepath.Join(dir, fileName)
	db, err := openBolt(path, DefaultLimits())
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketMeta))
		must(t, b.Put([]byte("new thing"), []byte("unsealed")))
		return b.Put([]byte(keyFormat), encodeFormat(format+1))
	}))
	must(t, db.Close())
	before, err := os.ReadFile(path)
	must(t, err)
	_, _, err = Open(dir, Options{Clock: newHand()})
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("got %v, want ErrNewer", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was touched: %v", err)
	}
}

// The file is cut while it is open: every call answers with an error, none hangs or crashes.
func TestFileCutWhileOpen(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	j, _ := open(t, dir, Options{Clock: hands})
	for i := range 50 {
		must(t, j.PutAttempt(attempt(fmt.Sprint("a", i), "i", clock.Now(hands))))
	}
	must(t, os.Truncate(filepath.Join(dir, fileName), 0))
	if _, err := j.Attempt("a1"); !errors.Is(err, errFault) {
		t.Errorf("read: %v", err)
	}
	for range 3 {
		if err := j.PutAttempt(attempt("b", "i", clock.Now(hands))); err == nil {
			t.Error("write: no error")
		}
	}
	if j.Healthy() == nil {
		t.Error("Healthy is nil")
	}
	if err := j.Close(); err == nil {
		t.Error("Close: no error")
	}
	if _, r := open(t, dir, Options{Clock: hands}); r.SetAside == "" {
		t.Errorf("next start: %+v", r)
	}
}
