package program_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/program"
)

func TestProgramsThatOthersCanChange(t *testing.T) {
	good := acttest.Script(t, "#!/bin/sh\n")
	folder := filepath.Dir(good)
	make := func(name string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // past the umask
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(folder, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(open, "program"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	sticky := filepath.Join(folder, "sticky")
	if err := os.Mkdir(sticky, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sticky, "program"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sticky, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Join(open, "program"), link); err != nil {
		t.Fatal(err)
	}
	fine := filepath.Join(folder, "fine")
	if err := os.Symlink(good, fine); err != nil {
		t.Fatal(err)
	}
	// A link whose end is sound, by way of one that anybody can point elsewhere.
	if err := os.Symlink(good, filepath.Join(open, "hop")); err != nil {
		t.Fatal(err)
	}
	hop := filepath.Join(folder, "hop")
	if err := os.Symlink("open/hop", hop); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(folder, "fifo")
	if err := syscall.Mkfifo(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		good:                             "",
		filepath.Join(sticky, "program"): "",
		fine:                             "",
		make("group", 0o775):             "can be changed by others",
		make("world", 0o757):             "can be changed by others",
		make("plain", 0o644):             "not executable",
		filepath.Join(open, "program"):   "can be changed by others",
		link:                             "can be changed by others",
		hop:                              "can be changed by others",
		open:                             "no regular file",
		fifo:                             "no regular file",
		filepath.Join(folder, "none"):    "cannot be found",
		"program":                        "absolute path",
		folder + "/../x":                 "absolute path",
	} {
		err := program.Check(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if os.Geteuid() == 0 {
		foreign := make("foreign", 0o755)
		if err := os.Chown(foreign, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if err := program.Check(foreign); err == nil || !strings.Contains(err.Error(), "belongs to user") {
			t.Errorf("a program of another user: %v", err)
		}
	}
}
