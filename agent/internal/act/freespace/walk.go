package freespace

import (
	"cmp"
	"context"
	"fmt"
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
		switch err := w.match(".", strings.Split(glob, "/")); {
		case ctx.Err() != nil:
			return nil, kind.Unknown("what lies in "+d.Path, ctx.Err())
		case err != nil:
			return nil, kind.Refuse("what may go cannot be listed: %v", err)
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
	var here []folder.File
	err := w.dir.Names(at, func(parent int, name string) error {
		if w.read++; w.read > maxEntries {
			return fmt.Errorf("%s has more than %d entries where the globs lead", w.dir.Path, maxEntries)
		}
		base := path.Base(name)
		fits, _ := path.Match(segments[0], base) // the loader has seen to the pattern
		switch {
		case !fits || strings.HasPrefix(base, ".") && !strings.HasPrefix(segments[0], "."):
		case len(segments) > 1:
			return w.match(name, segments[1:])
		default:
			if f, ok := w.dir.Stat(parent, name); ok {
				here = append(here, f)
			}
		}
		return w.ctx.Err()
	})
	if err != nil {
		return err
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
