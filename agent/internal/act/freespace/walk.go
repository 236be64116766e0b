package freespace

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/folder"
	"github.com/salveops/salve/agent/internal/act/kind"
)

// Bounds of one run.
const (
	maxFiles   = 200    // that may go
	maxEntries = 100000 // of folders that are read
)

// candidates are the files that may go, the oldest first: what a glob names, was last written to before the time, and is
// not among the keep newest of its glob and folder.
func candidates(ctx context.Context, d *folder.Folder, globs []string, keep int, before time.Time) ([]folder.File, error) {
	w := walk{ctx: ctx, dir: d, keep: keep, before: before, found: map[string]folder.File{}, stay: map[string]bool{}}
	for _, glob := range globs {
		if err := w.match(".", strings.Split(glob, "/")); err != nil {
			return nil, err
		}
	}
	var list []folder.File
	for name, f := range w.found {
		if !w.stay[name] { // also not if another glob would let it go
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b folder.File) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name)) })
	return list[:min(maxFiles, len(list))], nil
}

// walk gathers what the globs name.
type walk struct {
	ctx    context.Context
	dir    *folder.Folder
	keep   int
	before time.Time
	read   int                    // entries so far
	found  map[string]folder.File // that may go
	stay   map[string]bool        // that are among the newest
}

// match follows one glob, segment by segment. What lies below a link or another mount, or is the agent's own, is not there.
func (w *walk) match(at string, segments []string) error {
	sub, err := w.dir.Sub(at)
	if folder.Closed(err) {
		return nil
	}
	if err != nil {
		return kind.Refuse("what may go cannot be listed: %v", err)
	}
	defer sub.Close()
	var here []folder.File
	for {
		names, err := sub.Readdirnames(1024)
		if w.read += len(names); w.read > maxEntries {
			return kind.Refuse("%s has more than %d entries where the globs lead", w.dir.Path, maxEntries)
		}
		for _, name := range names {
			fits, _ := path.Match(segments[0], name) // the loader has seen to the pattern
			switch {
			case !fits || strings.HasPrefix(name, ".") && !strings.HasPrefix(segments[0], "."):
			case len(segments) > 1:
				if err := w.match(path.Join(at, name), segments[1:]); err != nil {
					return err
				}
			default:
				if f, ok := w.dir.Stat(int(sub.Fd()), path.Join(at, name)); ok {
					here = append(here, f)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = w.ctx.Err()
		}
		if err != nil {
			return kind.Unknown("what lies in "+path.Join(w.dir.Path, at), err)
		}
	}
	slices.SortFunc(here, func(a, b folder.File) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Name, a.Name)) })
	for i, f := range here {
		if i < w.keep {
			w.stay[f.Name] = true
		} else if f.Time.Before(w.before) {
			w.found[f.Name] = f
		}
	}
	return nil
}
