package notice

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/psi"
)

// running is a poller at work, which ends with the test.
func running(t *testing.T) *Poller {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func wait(t *testing.T, c <-chan string, want string) {
	t.Helper()
	waitFor(t, 10*time.Second, c, want)
}

func waitFor(t *testing.T, patience time.Duration, c <-chan string, want string) {
	t.Helper()
	select {
	case got := <-c:
		if got != want {
			t.Errorf("called for %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("no call for %q", want)
	}
}

func TestModifiedFile(t *testing.T) {
	p, dir, calls := running(t), t.TempDir(), make(chan string, 64)
	stops := map[string]func(){}
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		stop, err := p.Modified(path, func() { calls <- name })
		if err != nil {
			t.Fatal(err)
		}
		stops[name] = stop
	}
	touch := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	touch("b")
	wait(t, calls, "b")
	stops["b"]()
	stops["b"]() // twice does no harm
	touch("b")
	touch("a")
	for got := range calls {
		if got == "a" {
			break // what came before was still on its way
		}
	}
	if _, err := p.Modified(filepath.Join(dir, "none"), func() {}); err == nil {
		t.Error("a file that is not there is watched")
	}
}

// TestEntries: what comes into a folder and goes is told, what is done to a file in it is not.
func TestEntries(t *testing.T) {
	p, dir, calls := running(t), t.TempDir(), make(chan string, 64)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stop, err := p.Entries(dir, func() { calls <- "folder" })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Entries(file, func() {}); err == nil {
		t.Error("a file is watched as a folder")
	}
	mark, err := p.Modified(file, func() { calls <- "file" })
	if err != nil {
		t.Fatal(err)
	}
	defer mark()
	if err := os.Truncate(file, 1); err != nil { // one change; os.WriteFile makes two
		t.Fatal(err)
	}
	wait(t, calls, "file")
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	wait(t, calls, "folder")
	stop()
	if err := os.Remove(filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	wait(t, calls, "file") // and nothing of the folder before
}

func TestAddedDescriptor(t *testing.T) {
	p, calls := running(t), make(chan string, 64)
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	var count [8]byte
	stop, err := p.Add(fd, unix.EPOLLIN, func() {
		_, _ = unix.Read(fd, count[:])
		calls <- "event"
	})
	if err != nil {
		t.Fatal(err)
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	for range 3 {
		if _, err := unix.Write(fd, one); err != nil {
			t.Fatal(err)
		}
		wait(t, calls, "event")
	}
	stop()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor is still open: %v", err)
	}
	if _, err := p.Add(-1, unix.EPOLLIN, func() {}); err == nil {
		t.Error("a bad descriptor is waited for")
	}
}

func TestCountedNeedsAGroup(t *testing.T) {
	p := running(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memory.oom_control"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := p.Counted(folder, "memory.oom_control", func() {}); err == nil {
			t.Errorf("events of %s are counted", folder)
		}
	}
}

func TestClosedPollerRefuses(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	if _, err := p.Modified("/proc/self/stat", func() {}); err == nil {
		t.Error("a closed poller watches a file")
	}
	if _, err := p.Add(0, unix.EPOLLIN, func() {}); err == nil {
		t.Error("a closed poller waits for a descriptor")
	}
}

// The kernel announces real pressure. Without CAP_SYS_RESOURCE it takes only windows of two seconds, looks once
// a window, and not even then when somebody who read the file was quicker: on a busy host with many readers a
// trigger is passed over several times in a row.
func TestPressureIsAnnounced(t *testing.T) {
	fd, err := psi.Trigger("/proc/pressure/cpu", 2*time.Second)
	agenttest.Require(t, "pressure triggers", err == nil, "a kernel with PSI that lets this user arm triggers")
	p, calls := running(t), make(chan string, 64)
	if _, err := p.Add(fd, unix.EPOLLPRI, func() { calls <- "pressure" }); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 2*runtime.NumCPU() + 2 { // threads enough that some always wait for a CPU
		go func() {
			runtime.LockOSThread()
			for {
				select {
				case <-stop:
					return
				default: // on and on: CPU is to be burnt
					continue
				}
			}
		}()
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2*runtime.NumCPU() + 4))
	waitFor(t, 2*time.Minute, calls, "pressure")
}

func event(wd int32, name string) []byte {
	var b bytes.Buffer
	for _, v := range []uint32{uint32(wd), unix.IN_MODIFY, 0, uint32(len(name))} {
		_ = binary.Write(&b, binary.NativeEndian, v)
	}
	b.WriteString(name)
	return b.Bytes()
}

func TestWatches(t *testing.T) {
	b := append(append(event(1, ""), event(1, "")...), event(7, "name\x00\x00\x00\x00")...)
	got := watches(append(b, 1, 2, 3))
	if len(got) != 2 || got[0] != 1 || got[1] != 7 {
		t.Errorf("%v", got)
	}
}

func FuzzWatches(f *testing.F) {
	f.Add(event(1, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(watches(b)); n > len(b)/header {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}
