// Package freespace is the kind of remedy that makes room on a file system: services that clean up, files that were removed
// and are held open, and then the oldest files under declared globs.
package freespace

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/folder"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/signal"
)

// Kind makes room. Make it with New.
type Kind struct {
	*kind.Host
	kind.NoUndo
	units  unit.Units
	start  kind.Kind
	reload kind.Kind
}

// New prepares the kind; units is what it runs cleaners and reloads services with.
func New(h *kind.Host, units unit.Units) Kind {
	return Kind{Host: h, units: units, start: unit.Starter{Units: units}, reload: unit.Reloader{Units: units}}
}

// evidence is how full the file system was, and which files would go.
type evidence struct {
	room
	Files    []folder.File `json:"files,omitempty"`    // before: that may go, in this order; after: that are gone
	Services int           `json:"services,omitempty"` // before: that may be run or reloaded
	Did      string        `json:"did,omitempty"`      // in words
}

func argsOf(q kind.Request) *remedy.FreeSpaceArgs { return q.Remedy.Args.(*remedy.FreeSpaceArgs) }

// Target implements kind.Kind.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	if argsOf(q).Path == "" {
		return "", kind.Refuse("free_space names no folder")
	}
	return argsOf(q).Path, nil
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	a := argsOf(s.Request)
	var steps []string
	for _, name := range a.Cleaners {
		steps = append(steps, "run "+name)
	}
	for _, name := range a.Reopen {
		steps = append(steps, "reload "+name+" if it holds removed files open")
	}
	if before, ok := s.Before.(evidence); ok && len(a.Files) > 0 {
		steps = append(steps, fmt.Sprintf("remove up to %d files (%s)", len(before.Files), size(total(before.Files))))
	}
	return fmt.Sprintf("make room in %s until %.0f %% are free: %s", s.Target, 100*a.Free, strings.Join(steps, ", then "))
}

// Precheck implements kind.Kind. It lists the files that may go, so that they are on disk before one goes.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a := argsOf(s.Request)
	dir, err := folder.Open(s.Target, k.Data)
	if err != nil {
		return err
	}
	defer dir.Close()
	now, err := roomOf(dir.FD())
	if err != nil {
		return kind.Unknown("how full "+s.Target+" is", err)
	}
	if now.enough(a.Free) {
		return kind.Needless("%.0f %% of %s are free already", 100*now.free(), s.Target)
	}
	services, out, err := k.services(ctx, s)
	if err != nil {
		return err
	}
	files, err := candidates(ctx, dir, a.Files, a.Keep, k.Clock.Now().Wall.Add(-a.MinAge))
	if err != nil {
		return err
	}
	switch {
	case len(files) == 0 && services == 0 && out != nil:
		return out
	case len(files) == 0 && services == 0:
		return kind.Refuse("nothing in %s may go: no file that the globs name is older than %s, but the newest", s.Target, a.MinAge)
	}
	s.Before = evidence{room: now, Files: files, Services: len(a.Cleaners) + len(a.Reopen)}
	for _, f := range files {
		s.Detail = append(s.Detail, fmt.Sprintf("%s  %s  %s", f.Time.Format("2006-01-02 15:04:05"), size(f.Size), f.Name))
	}
	return nil
}

// Act implements kind.Kind. Each part begins only if there is not yet room, and what one part could not do is no reason to
// leave out the next.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	a, before := argsOf(s.Request), s.Before.(evidence)
	dir, err := folder.Open(s.Target, k.Data)
	if err != nil {
		return err
	}
	defer dir.Close()
	run := &run{halted: func() error { return s.Halted(ctx) }, dir: dir, free: a.Free}
	for _, name := range a.Cleaners {
		run.part("ran "+name, func() (bool, error) { return true, k.clean(ctx, s, name) })
	}
	for _, name := range a.Reopen {
		run.part("reloaded "+name, func() (bool, error) { return k.reopen(ctx, s, dir, name) })
	}
	for _, f := range before.Files {
		run.part("", func() (bool, error) {
			err := dir.Remove(f)
			if err == nil {
				run.gone = append(run.gone, f)
			}
			return err == nil, err
		})
	}
	after := evidence{Files: run.gone, Did: run.text()}
	after.room, _ = roomOf(dir.FD()) // it is done; only the evidence would be missing
	s.After = after
	if run.cut != nil {
		return run.cut
	}
	if len(run.did)+len(run.gone) == 0 && len(run.failed) > 0 {
		return fmt.Errorf("no room was made: %s", run.failed[0])
	}
	return nil // whether it is enough is for the verification to say
}

// run is one run of the recipe.
type run struct {
	halted func() error // why no further part may begin
	dir    *folder.Folder
	free   float64
	did    []string
	failed []string
	before room // the first file went
	gone   []folder.File
	cut    error // why no further part begins
}

// enough reports whether there is room, by what the file system says or by what has gone. Some file systems give room back
// only later, and a file that somebody holds open gives none: no more go than it takes.
func (r *run) enough() (bool, error) {
	now, err := roomOf(r.dir.FD())
	if len(r.gone) == 0 {
		r.before = now
	}
	return now.enough(r.free) || r.before.without(r.gone).enough(r.free), err
}

// part does one part, unless there is room, nobody knows, or no further one may begin.
func (r *run) part(what string, do func() (bool, error)) {
	enough, err := r.enough()
	did := false
	if err == nil && !enough {
		if r.cut = r.halted(); r.cut != nil {
			return
		}
		did, err = do()
	}
	switch {
	case err != nil:
		r.failed = append(r.failed, err.Error())
	case did && what != "":
		r.did = append(r.did, what)
	}
}

func (r *run) text() string {
	words := r.did
	if len(r.gone) > 0 {
		words = append(words, fmt.Sprintf("removed %d files (%s)", len(r.gone), size(total(r.gone))))
	}
	if len(words) == 0 {
		words = []string{"nothing was done"}
	}
	const most = 3
	for _, text := range r.failed[:min(most, len(r.failed))] {
		words = append(words, "failed: "+text)
	}
	if left := len(r.failed) - most; left > 0 {
		words = append(words, fmt.Sprintf("and %d more that failed", left))
	}
	return strings.Join(words, "; ")
}

// Settle implements kind.Kind: the files that were to go tell.
func (k Kind) Settle(_ context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was evidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return incident.Unknown, "there is no evidence from before"
	}
	dir, err := folder.Open(a.Target, k.Data)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	defer dir.Close()
	gone := slices.DeleteFunc(slices.Clone(was.Files), func(f folder.File) bool { return !dir.Gone(f) })
	switch {
	case len(gone) > 0:
		return incident.Acted, fmt.Sprintf("%d of %d files are gone", len(gone), len(was.Files))
	case len(was.Files) > 0 && was.Services == 0:
		return incident.NotDone, fmt.Sprintf("all %d files are there", len(was.Files))
	case len(was.Files) > 0:
		return incident.Unknown, "all files are there; whether a cleaner ran cannot be told"
	}
	return incident.Unknown, "whether a cleaner ran cannot be told"
}

// Quiet implements kind.Kind: files go one by one, and a cleaner is a unit of its own.
func (k Kind) Quiet(*incident.Attempt) bool { return true }

// room is how full a file system is.
type room struct {
	Bytes      uint64 `json:"bytes"`
	FreeBytes  uint64 `json:"free_bytes"` // that not only root may have
	Inodes     uint64 `json:"inodes"`     // 0: the file system does not count them
	FreeInodes uint64 `json:"free_inodes"`
}

// free is the share that is free of what is shorter.
func (r room) free() float64 {
	share := 1.0
	if r.Bytes > 0 {
		share = float64(r.FreeBytes) / float64(r.Bytes)
	}
	if r.Inodes > 0 {
		share = min(share, float64(r.FreeInodes)/float64(r.Inodes))
	}
	return share
}

// without is the room that there is without the files.
func (r room) without(files []folder.File) room {
	r.FreeBytes += total(files)
	r.FreeInodes += uint64(len(files))
	return r
}

func (r room) enough(share float64) bool { return r.free() >= share }

func roomOf(fd int) (room, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return room{}, err
	}
	block := uint64(st.Frsize)
	used := (st.Blocks - st.Bfree) * block // as df has it: of what root may not keep for itself
	return room{Bytes: used + st.Bavail*block, FreeBytes: st.Bavail * block, Inodes: st.Files, FreeInodes: st.Ffree}, nil
}

func total(files []folder.File) uint64 {
	var sum uint64
	for _, f := range files {
		sum += f.Size
	}
	return sum
}

// size is a number of bytes as people read it.
func size(bytes uint64) string { return signal.Format(signal.Bytes, float64(bytes)) }
