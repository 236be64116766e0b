// Package snapshot keeps what files are, so that they can be put back: a manifest of each set of files, and their contents by
// digest, in the agent's own folder. It changes nothing else.
package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// Bounds of a set of files.
const (
	MaxFiles   = 64
	MaxFile    = 1 << 20  // bytes of one file
	MaxAll     = 16 << 20 // bytes of all of them
	maxXattrs  = 32       // of one file
	maxXattr   = 64 << 10 // bytes of their values in all
	maxText    = 8 << 20  // of a manifest
	maxEntries = 10000    // of folders that are read
)

// Set is a set of files: what is in the folder now that the globs name. Links are not followed, and no file lies on another mount
// than the folder.
type Set struct {
	Path  string   `json:"path"`  // folder, absolute
	Globs []string `json:"globs"` // below Path; * stands for no slash
}

// File is one file of a set.
type File struct {
	Name   string            `json:"name"` // below the folder
	Mode   uint32            `json:"mode"` // permissions, no type
	UID    uint32            `json:"uid"`
	GID    uint32            `json:"gid"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
	Size   int64             `json:"size"`
	Digest string            `json:"sha256"` // of its content, in hex
}

// Equal reports whether both are the same in name, content and all that is kept of them.
func (f File) Equal(o File) bool {
	return f.Name == o.Name && f.Mode == o.Mode && f.UID == o.UID && f.GID == o.GID && f.Size == o.Size && f.Digest == o.Digest &&
		maps.EqualFunc(f.Xattrs, o.Xattrs, bytes.Equal)
}

// Manifest is what the files of a set were at one moment. Its text is the same whenever they are.
type Manifest struct {
	Set
	Files []File `json:"files"` // in the order of their names
}

// File is the file of that name; nil: there is none.
func (m *Manifest) File(name string) *File {
	i, found := slices.BinarySearchFunc(m.Files, name, func(f File, name string) int { return strings.Compare(f.Name, name) })
	if !found {
		return nil
	}
	return &m.Files[i]
}

// Text is the manifest as it is kept.
func (m *Manifest) Text() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic("snapshot: a manifest cannot be marshalled: " + err.Error()) // it is strings and numbers
	}
	return text
}

// ID is the digest of the text.
func (m *Manifest) ID() string { return digest(m.Text()) }

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Short is an ID for people.
func Short(id string) string { return id[:min(12, len(id))] }

// Parse reads what Text wrote, and nothing else.
func Parse(text []byte) (*Manifest, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the manifest has more than %d bytes", maxText)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the manifest has something behind its end")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(m.Text(), text) {
		return nil, errors.New("the manifest is not written as manifests are")
	}
	return &m, nil
}

// check returns what no manifest has that was made of files.
func (m *Manifest) check() error {
	if !path.IsAbs(m.Path) || path.Clean(m.Path) != m.Path || len(m.Globs) == 0 {
		return errors.New("the manifest names no folder, or no globs")
	}
	if len(m.Files) > MaxFiles {
		return fmt.Errorf("there are more than %d files", MaxFiles)
	}
	all, last := int64(0), ""
	for _, f := range m.Files {
		switch {
		case f.Name <= last || path.IsAbs(f.Name) || path.Clean(f.Name) != f.Name || f.Name == "." || strings.HasPrefix(f.Name, "..") ||
			strings.ContainsRune(f.Name, 0):
			return fmt.Errorf("%q is no name of a file below the folder, or not in its place", f.Name)
		case !slices.ContainsFunc(m.Globs, func(glob string) bool { return matches(glob, f.Name) }):
			return fmt.Errorf("no glob names %q", f.Name)
		case f.Mode&^0o1777 != 0:
			return fmt.Errorf("%s has the mode %o", f.Name, f.Mode)
		case !isDigest(f.Digest) || f.Size < 0 || f.Size > MaxFile:
			return fmt.Errorf("%s has no digest, or more than %d bytes", f.Name, MaxFile)
		case len(f.Xattrs) > maxXattrs:
			return fmt.Errorf("%s has more than %d extended attributes", f.Name, maxXattrs)
		}
		all += f.Size
		last = f.Name
	}
	if all > MaxAll {
		return fmt.Errorf("the files have more than %d bytes in all", MaxAll)
	}
	return nil
}

func isDigest(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == sha256.Size && strings.ToLower(s) == s
}

// matches reports whether the glob names the file; names with a dot in front are meant by globs with one only.
func matches(glob, name string) bool {
	globs, names := strings.Split(glob, "/"), strings.Split(name, "/")
	return slices.EqualFunc(globs, names, fits)
}

// fits is matches for one segment.
func fits(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return err == nil && ok && (!strings.HasPrefix(name, ".") || strings.HasPrefix(glob, ".")) && !isStage(name)
}

// Stage is the name in the same folder under which a file is laid before it takes its place. No glob names it.
func Stage(name string) string { return path.Join(path.Dir(name), "."+path.Base(name)+".salve") }

func isStage(base string) bool {
	return strings.HasPrefix(base, ".") && strings.HasSuffix(base, ".salve")
}
