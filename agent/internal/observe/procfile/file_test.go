package procfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFileShowsWhatIsThereNow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := New(path)
	defer f.Close()
	buf := make([]byte, 8192)
	if _, err := f.Read(buf); !errors.Is(err, unix.ENOENT) {
		t.Fatalf("a file that is not there: %v", err)
	}
	for _, text := range []string{"one", "three", ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := f.Read(buf)
		if err != nil || string(got) != text {
			t.Fatalf("read %q, %v; want %q", got, err, text)
		}
	}
}

func TestFileReadsMoreThanAPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f := New(path)
	defer f.Close()
	for _, size := range []int{len(want) + 100, 5000, 10} {
		got, err := f.Read(make([]byte, size))
		if err != nil || !bytes.Equal(got, want[:min(size, len(want))]) {
			t.Fatalf("buffer of %d: %d bytes, %v", size, len(got), err)
		}
	}
}

// The kernel's record files return less than asked for before their end.
func TestFileReadsAllRecords(t *testing.T) {
	want, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	f := New("/proc/filesystems")
	defer f.Close()
	if got, err := f.Read(make([]byte, 4096)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("filesystems: read %q, %v; want %q", got, err, want)
	}
	long := New("/proc/self/smaps") // several pages, and never the same twice
	defer long.Close()
	if got, err := long.Read(make([]byte, 1<<20)); err != nil || !bytes.HasSuffix(got, []byte("\n")) || len(got) < 8192 {
		t.Errorf("smaps: read %d bytes, %v; want all", len(got), err)
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	f, missing := New("/proc/self/stat"), New("/proc/self/nothing")
	defer f.Close()
	buf := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := f.Read(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a read allocates %v times", n)
	}
	if _, err := missing.Read(buf); err != unix.ENOENT {
		t.Errorf("a missing file: %v", err)
	}
}
