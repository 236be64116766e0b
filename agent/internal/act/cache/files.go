package cache

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"

	"github.com/salveops/salve/agent/internal/act/folder"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/signal"
)

// files is a cache folder of nginx at one moment. No key is in it, only names of files, which are hashes.
type files struct {
	Folder string        `json:"folder"`
	Count  int64         `json:"count"`           // of files of the cache, whatever their keys
	Size   uint64        `json:"size"`            // that they take on disk
	First  []folder.File `json:"first,omitempty"` // before: the first that go
}

const (
	maxFirst   = 20      // files by which an attempt is settled
	maxHeads   = 10000   // files that are read to find these
	maxLook    = 1000    // files that are read in one step
	maxEntries = 1000000 // of folders that are read
	maxLevels  = 3       // of folders in each other, as in nginx's levels
	headBytes  = 8 << 10 // of a file, in which its key is
)

// What nginx calls its files, and the folders that they lie in.
var (
	fileName   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	folderName = regexp.MustCompile(`^[0-9a-f]{1,2}$`)
)

// check implements source.
func (was *files) check(ctx context.Context, s *kind.Step, own string) error {
	a := argsOf(s.Request)
	if a.AtOnce {
		return kind.Refuse("the files of a cache go one by one: at_once is for Redis and memcached")
	}
	dir, err := folder.Open(was.Folder, own)
	if err != nil {
		return err
	}
	defer dir.Close()
	read := 0
	w := walk{dir: dir, each: func(f folder.File) error {
		was.Count, was.Size = was.Count+1, was.Size+f.Size
		if len(was.First) < maxFirst && read < maxHeads {
			if read++; meant(dir, f, a.Prefix) {
				was.First = append(was.First, f)
			}
		}
		return ctx.Err()
	}}
	if err := w.in(".", 0); err != nil {
		return kind.Unknown("the files of cache "+s.Target, err)
	}
	if len(was.First) == 0 && read < maxHeads {
		return kind.Needless("cache %s has no file of such a key", s.Target)
	}
	s.Detail = []string{fmt.Sprintf("%s: %d files, %s", was.Folder, was.Count, signal.Format(signal.Bytes, float64(was.Size)))}
	return nil
}

// clear implements source. A file goes only if it is the one that was looked at.
func (was *files) clear(ctx context.Context, r *run) (evidence, error) {
	gone, looked, step := files{Folder: was.Folder}, 0, 0
	dir, err := folder.Open(was.Folder, r.own)
	if err != nil {
		return evidence{Nginx: &gone}, fmt.Errorf("nothing was done: %w", err)
	}
	defer dir.Close()
	var failed error
	w := walk{dir: dir, each: func(f folder.File) error {
		if looked++; meant(dir, f, r.Prefix) {
			if failed = dir.Remove(f); failed == nil { // else nginx may have been there first
				gone.Count, gone.Size, step = gone.Count+1, gone.Size+f.Size, step+1
			}
		}
		if step < r.size() && looked < maxLook {
			return ctx.Err()
		}
		removed := step
		looked, step = 0, 0
		return r.next(ctx, removed)
	}}
	err = w.in(".", 0)
	if r.Removed += int64(step); err == nil && r.Removed == 0 {
		err = failed
	}
	return evidence{Nginx: &gone}, r.ended(err)
}

// meant reports whether the file is one of nginx's cache whose key begins with the prefix. What has no key in it is none.
func meant(dir *folder.Folder, f folder.File, prefix string) bool {
	head, err := dir.Head(f, headBytes)
	_, key, found := bytes.Cut(head, []byte("\nKEY: "))
	return err == nil && found && bytes.HasPrefix(key, []byte(prefix))
}

// walk goes through the files of a cache.
type walk struct {
	dir  *folder.Folder
	each func(folder.File) error // its error ends the walk
	read int                     // entries so far
}

func (w *walk) in(at string, level int) error {
	return w.dir.Names(at, func(parent int, name string) error {
		if w.read++; w.read > maxEntries {
			return fmt.Errorf("%s has more than %d entries", w.dir.Path, maxEntries)
		}
		return w.entry(parent, name, level)
	})
}

func (w *walk) entry(parent int, name string, level int) error {
	switch base := path.Base(name); {
	case fileName.MatchString(base):
		if f, ok := w.dir.Stat(parent, name); ok {
			return w.each(f)
		}
	case level < maxLevels && folderName.MatchString(base):
		return w.in(name, level+1)
	}
	return nil
}

// settle implements source: the files that go first tell.
func (was *files) settle(_ context.Context, own string) (incident.Phase, string) {
	dir, err := folder.Open(was.Folder, own)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	defer dir.Close()
	if len(was.First) == 0 {
		return incident.Unknown, "of many files none was found before by which it could be told"
	}
	gone := 0
	for _, f := range was.First {
		if dir.Gone(f) {
			gone++
		}
	}
	if gone == 0 {
		return incident.NotDone, "the files that go first are there"
	}
	return incident.Acted, fmt.Sprintf("of the %d files that go first, %d are gone", len(was.First), gone)
}
