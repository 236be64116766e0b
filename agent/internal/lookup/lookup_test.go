package lookup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/pkg/require"
)

// tree is a folder with a/b/c in it, a file in each, links, and what may not be reached.
func tree(t *testing.T) (root string, dir int, on Mount) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(root, "top/a/b/c"), 0o755))
	for _, at := range []string{"", "top", "top/a", "top/a/b", "top/a/b/c"} {
		must(t, os.WriteFile(filepath.Join(root, at, "file"), []byte(at), 0o644))
	}
	for name, to := range map[string]string{
		"way": "top", "top/link": "a", "top/a/link": "b", "top/a/b/link": "c", "top/out": root, "top/loop": "loop", "top/none": "gone",
		"top/a/b/c/name": "file", "top/up": "..",
	} {
		must(t, os.Symlink(to, filepath.Join(root, name)))
	}
	must(t, unix.Mkfifo(filepath.Join(root, "top/pipe"), 0o644))
	dir, err = Root(filepath.Join(root, "top"), unix.O_RDONLY)
	must(t, err)
	t.Cleanup(func() { unix.Close(dir) })
	on, err = Of(dir)
	must(t, err)
	return root, dir, on
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want checks the error of a lookup. What was opened must be the file at that path.
func want(t *testing.T, what string, fd int, err, errno error, at string) {
	t.Helper()
	if !errors.Is(err, errno) || (err == nil) != (errno == nil) {
		t.Errorf("%s: error %v, want %v", what, err, errno)
	}
	if err != nil {
		if fd != -1 {
			t.Errorf("%s: there is an error, and a descriptor %d", what, fd)
		}
		return
	}
	defer unix.Close(fd)
	var is, should unix.Stat_t
	must(t, errors.Join(unix.Fstat(fd, &is), unix.Stat(at, &should)))
	if is.Ino != should.Ino || is.Dev != should.Dev {
		t.Errorf("%s: it is not %s", what, at)
	}
}

func TestFolder(t *testing.T) {
	root, dir, on := tree(t)
	top := filepath.Join(root, "top")
	open := count(t)
	for name, errno := range map[string]error{
		".": nil, "a": nil, "a/b": nil, "a/b/c": nil, "./a/./b/c/.": nil, "a//b/": nil,
		"link": unix.ELOOP, "link/b": unix.ELOOP, "link/b/c": unix.ELOOP, "a/link": unix.ELOOP, "a/link/c": unix.ELOOP,
		"a/b/link": unix.ELOOP, "a/b/link/.": unix.ELOOP, "loop": unix.ELOOP, "none": unix.ELOOP, "out": unix.ELOOP, "up/a": unix.ELOOP,
		"..": unix.EXDEV, "../top": unix.EXDEV, "a/..": unix.EXDEV, "a/../a": unix.EXDEV, "a/b/../../../file": unix.EXDEV,
		top + "/a": unix.EXDEV, "/": unix.EXDEV,
		"file": unix.ENOTDIR, "file/.": unix.ENOTDIR, "a/file/b": unix.ENOTDIR, "pipe": unix.ENOTDIR,
		"gone": unix.ENOENT, "a/gone/c": unix.ENOENT, "a/" + strings.Repeat("x", 300): unix.ENAMETOOLONG,
	} {
		for _, on := range []Mount{AnyMount, on} {
			fd, err := Folder(dir, name, unix.O_RDONLY, on)
			want(t, name, fd, err, errno, filepath.Join(top, name))
		}
	}
	if now := count(t); now != open {
		t.Errorf("of %d descriptors %d are left", open, now)
	}
	fd, err := Folder(dir, "a", unix.O_PATH, on)
	must(t, err)
	if _, err := unix.Read(fd, make([]byte, 1)); !errors.Is(err, unix.EBADF) {
		t.Errorf("the flags are not those that were asked for: %v", err)
	}
	must(t, unix.Close(fd))
}

// count is the number of open descriptors.
func count(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

func TestRoot(t *testing.T) {
	root, _, _ := tree(t)
	for name, errno := range map[string]error{
		"/top": nil, "/top/a/b/c/": nil, "//top": nil,
		"/way": unix.ELOOP, "/way/a": unix.ELOOP, "/top/link": unix.ELOOP, "/top/../top": unix.EXDEV, "/file": unix.ENOTDIR,
	} {
		fd, err := Root(root+name, unix.O_RDONLY)
		want(t, name, fd, err, errno, root+name)
	}
	fd, err := Root("/", unix.O_RDONLY)
	want(t, "/", fd, err, nil, "/")
	fd, err = Root("top", unix.O_RDONLY)
	want(t, "top", fd, err, unix.EINVAL, "")
	fd, err = Root("", unix.O_RDONLY)
	want(t, "nothing", fd, err, unix.EINVAL, "")
	fd, err = Root("/proc/self/fd", unix.O_RDONLY) // self is a link
	want(t, "/proc/self/fd", fd, err, unix.ELOOP, "")
}

func TestFile(t *testing.T) {
	root, _, _ := tree(t)
	dir, err := Root(filepath.Join(root, "top/a/b/c"), unix.O_RDONLY)
	must(t, err)
	defer unix.Close(dir)
	on, err := Of(dir)
	must(t, err)
	must(t, unix.Mkfifo(filepath.Join(root, "top/a/b/c/pipe"), 0o644))
	must(t, os.Mkdir(filepath.Join(root, "top/a/b/c/folder"), 0o755))
	for name, errno := range map[string]error{
		"file": nil, "name": unix.ELOOP, "pipe": unix.EINVAL, "folder": unix.EINVAL, ".": unix.EINVAL, "..": unix.EXDEV,
		"../file": unix.EXDEV, "/etc/passwd": unix.EXDEV, "gone": unix.ENOENT, "": unix.ENOENT,
	} {
		fd, err := File(dir, name, unix.O_RDONLY, on)
		want(t, name, fd, err, errno, filepath.Join(root, "top/a/b/c", name))
	}
}

// A bind mount of the same file system has the same device, and is another mount all the same: of a folder and of a file.
func TestMounts(t *testing.T) {
	require.Root(t, "nobody else can mount")
	root, dir, on := tree(t)
	top := filepath.Join(root, "top")
	for from, to := range map[string]string{"a/b": "mounted", "a/file": "over"} {
		if to == "over" {
			must(t, os.WriteFile(filepath.Join(top, to), nil, 0o644))
		} else {
			must(t, os.Mkdir(filepath.Join(top, to), 0o755))
		}
		must(t, unix.Mount(filepath.Join(top, from), filepath.Join(top, to), "", unix.MS_BIND, ""))
		t.Cleanup(func() { must(t, unix.Unmount(filepath.Join(top, to), 0)) })
	}
	for _, name := range []string{"mounted", "mounted/c"} {
		fd, err := Folder(dir, name, unix.O_RDONLY, on)
		want(t, name, fd, err, unix.EXDEV, "")
		fd, err = Folder(dir, name, unix.O_RDONLY, AnyMount)
		want(t, name, fd, err, nil, filepath.Join(top, name))
	}
	fd, err := File(dir, "over", unix.O_RDONLY, on)
	want(t, "over", fd, err, unix.EXDEV, "")
	fd, err = Root(filepath.Join(top, "mounted/c"), unix.O_RDONLY)
	want(t, "mounted/c", fd, err, nil, filepath.Join(top, "a/b/c"))
}

// A kernel that does not say which mount it is cannot be asked whether it is the same.
func TestOldKernel(t *testing.T) {
	if _, err := mount(&unix.Statx_t{Mask: unix.STATX_BASIC_STATS, Mnt_id: 7}); !errors.Is(err, ErrMounts) {
		t.Errorf("error %v", err)
	}
	if m, err := mount(&unix.Statx_t{Mask: unix.STATX_BASIC_STATS | unix.STATX_MNT_ID, Mnt_id: 7}); m != 7 || err != nil {
		t.Errorf("%d, %v", m, err)
	}
}
