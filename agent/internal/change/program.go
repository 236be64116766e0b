package change

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
)

// release looks where the link to a service's release leads.
func (w *Watcher) release(s *config.Service, dirs map[string]bool) {
	if s.Release == "" {
		return
	}
	final, ok := w.trace(s.Release, dirs)
	if !ok || identity(final) == "" {
		return // in the middle of being replaced
	}
	before := w.seen.Releases[s.Release]
	if before == final {
		return
	}
	w.seen.Releases[s.Release], w.changed = final, true
	if before != "" {
		w.put(Change{Kind: "release", Service: s.Name, Text: s.Release + " leads to " + final + ", before to " + before})
	}
}

// trace follows a path and says where it leads. The folders on the way are to be watched.
func (w *Watcher) trace(path string, dirs map[string]bool) (final string, ok bool) {
	on, final, err := trail(path)
	if err != nil {
		if !w.failed[path] {
			w.o.Logger.Warn("a path cannot be followed, so that its changes stay unseen", "path", path, "error", err)
		}
		w.failed[path] = true
		return "", false
	}
	delete(w.failed, path)
	for _, dir := range on {
		dirs[dir] = true
	}
	return final, true
}

// program looks whether the program of a unit is still the one that its life began with.
func (w *Watcher) program(u systemd.Unit, s *config.Service, dirs map[string]bool) {
	if u.ExecStart == "" || u.InvocationID == "" {
		return
	}
	final, ok := w.trace(u.ExecStart, dirs)
	file := identity(final)
	if !ok || file == "" {
		return // in the middle of being replaced
	}
	before, known := w.seen.Runs[u.Name]
	now := run{Invocation: u.InvocationID, Program: final, File: file}
	switch {
	case !known:
		if w.deleted(u.MainPID, final) {
			now.Change = w.replaced(u, s, run{}, final)
		}
	case before.Invocation == now.Invocation && (before.File == file || before.Change != 0):
		return
	case before.Invocation == now.Invocation:
		before.Change = w.replaced(u, s, before, final)
		now = before
	case before.File != file:
		w.put(Change{N: before.Change, Kind: kindOf(before, final), Service: s.Name,
			Text: u.Name + " runs " + described(before, final) + " since it was started anew"})
	}
	w.seen.Runs[u.Name], w.changed = now, true
}

// replaced says that a unit goes on with a program that its path does not lead to any more.
func (w *Watcher) replaced(u systemd.Unit, s *config.Service, before run, final string) uint64 {
	return w.put(Change{Kind: kindOf(before, final), Service: s.Name, Pending: true,
		Text: u.Name + " still runs the old program; a start would run " + described(before, final)}).N
}

// kindOf says whether the path of a program leads elsewhere or has another file at its end.
func kindOf(before run, final string) string {
	if before.Program != "" && before.Program != final {
		return "release"
	}
	return "binary"
}

func described(before run, final string) string {
	if kindOf(before, final) == "release" {
		return final + " instead of " + before.Program
	}
	return "another " + final
}

// deleted reports whether the kernel says that the file which a process runs is gone from its path. It says so of one's own
// processes only, but to root.
func (w *Watcher) deleted(pid int, path string) bool {
	if pid <= 1 {
		return false
	}
	exe, err := os.Readlink(filepath.Join("/", w.o.Root, "proc", strconv.Itoa(pid), "exe"))
	return err == nil && exe == path+" (deleted)"
}
