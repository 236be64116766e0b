package freespace_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// disk is a small file system of its own, with a folder of logs.
type disk struct {
	*acttest.Rig
	root, logs string
	args       *remedy.FreeSpaceArgs
}

// old is when the first file of a test was last written to.
var old = time.Now().Add(-1000 * time.Hour).Truncate(time.Second)

func newDisk(t *testing.T, units ...string) *disk {
	t.Helper()
	dir := t.TempDir()
	image, root := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	err := os.Mkdir(root, 0o755)
	for _, c := range [][]string{
		{"truncate", "-s", "16M", image}, {"mkfs.ext4", "-q", "-m", "0", "-N", "256", image}, {"mount", "-o", "loop", image, root},
	} {
		if out, runErr := exec.Command(c[0], c[1:]...).CombinedOutput(); err == nil && runErr != nil {
			err = fmt.Errorf("%s: %w: %s", c[0], runErr, out)
		}
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	agenttest.Require(t, "a file system of its own (root, loop devices, mkfs.ext4)", err == nil, why)
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d := &disk{Rig: acttest.New(t, units...), root: root, logs: filepath.Join(root, "logs")}
	d.args = &remedy.FreeSpaceArgs{Path: d.logs, Free: 0.5, Files: []string{"*.log.*"}, Keep: 1, MinAge: time.Hour}
	d.Runner.SetAllow([]config.Allow{
		{Paths: []string{d.logs}, Actions: []string{"free_space"}},
		{Units: []string{"*.service"}, Actions: []string{"start", "reload"}},
	})
	for _, folder := range []string{d.logs, filepath.Join(d.logs, "old"), filepath.Join(root, "data")} {
		d.must(os.Mkdir(folder, 0o755))
	}
	return d
}

func (d *disk) must(err error) {
	d.T.Helper()
	if err != nil {
		d.T.Fatal(err)
	}
}

// put writes a file of so many KiB, by a path below the root, that was last written to so many hours after old.
func (d *disk) put(name string, kib, hours int) {
	d.T.Helper()
	path, at := filepath.Join(d.root, name), old.Add(time.Duration(hours)*time.Hour)
	d.must(os.WriteFile(path, make([]byte, kib<<10), 0o644))
	d.must(os.Chtimes(path, at, at))
}

// fill writes into data until the disk is full.
func (d *disk) fill() {
	d.T.Helper()
	f, err := os.Create(filepath.Join(d.root, "data/base"))
	d.must(err)
	defer f.Close()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if !strings.Contains(err.Error(), "no space left") {
		d.T.Fatal(err)
	}
}

// names are all files below the root.
func (d *disk) names() []string {
	d.T.Helper()
	var names []string
	d.must(filepath.WalkDir(d.root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, strings.TrimPrefix(path, d.root+"/"))
		}
		return err
	}))
	return names
}

// lost checks that of the files from before just these are gone.
func (d *disk) lost(before []string, want ...string) {
	d.T.Helper()
	after := d.names()
	var gone []string
	for _, name := range before {
		if !slices.Contains(after, name) {
			gone = append(gone, name)
		}
	}
	if !slices.Equal(gone, want) {
		d.T.Errorf("gone are %v, want %v", gone, want)
	}
}

func (d *disk) request() kind.Request { return acttest.Ask(remedy.FreeSpace, "", d.args) }

func (d *disk) makeRoom() incident.Attempt {
	d.T.Helper()
	return d.Must(d.request())
}
