package transaction

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestHolder takes a real POSIX lock, as dpkg does, and looks for it in the kernel's own table.
func TestHolder(t *testing.T) {
	root := t.TempDir()
	lock := filepath.Join(root, "/var/lib/dpkg/lock-frontend")
	if err := os.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(lock)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := os.Symlink("/proc", filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}

	d := New(root)
	if holder, err := d.Holder(); err != nil || holder != "" {
		t.Fatalf("no lock held: Holder() = %q, %v", holder, err)
	}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	holder, err := d.Holder()
	if err != nil || holder != "/var/lib/dpkg/lock-frontend" {
		t.Fatalf("lock held: Holder() = %q, %v", holder, err)
	}
}

func TestHolderCannotTell(t *testing.T) {
	root := t.TempDir()
	lock := filepath.Join(root, "/var/lib/dpkg/lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := New(root).Holder(); err == nil || !strings.Contains(err.Error(), "read lock table") {
		t.Fatalf("without a lock table: err = %v", err)
	}
}

func TestMatch(t *testing.T) {
	held := map[string]string{"08:01:1312": "/lock"}
	for _, c := range []struct{ name, table, want string }{
		{"held", "1: POSIX  ADVISORY  WRITE 711 08:01:1312 0 EOF\n", "/lock"},
		{"by flock too", "1: FLOCK  ADVISORY  WRITE 711 08:01:1312 0 EOF\n", "/lock"},
		{"waiter", "1: -> POSIX  ADVISORY  WRITE 711 08:01:1312 0 EOF\n", ""},
		{"reader", "1: POSIX  ADVISORY  READ 711 08:01:1312 0 EOF\n", ""},
		{"another file", "1: POSIX  ADVISORY  WRITE 711 08:01:9 0 EOF\n", ""},
		{"short line", "1: POSIX\n", ""},
		{"empty", "", ""},
	} {
		if got := match([]byte(c.table), held); got != c.want {
			t.Errorf("%s: match = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTouches(t *testing.T) {
	for fragment, want := range map[string]bool{
		"/lib/systemd/system/nginx.service": true,
		"/usr/lib/systemd/system/x.service": true,
		"/etc/systemd/system/mine.service":  false,
		"/run/systemd/transient/a.service":  false,
		"":                                  false,
	} {
		if got := Touches(fragment); got != want {
			t.Errorf("Touches(%q) = %v", fragment, got)
		}
	}
}
