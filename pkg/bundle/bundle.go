// Package bundle is a set of rule files that a controller delivers to agents: what it may be called, how large it may
// be, and the digest by which everybody knows it. What the files may say is judged by package config.
package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of a bundle. One entry of the controller's log takes no larger one.
const (
	MaxFiles   = 64        // files
	MaxSize    = 240 << 10 // bytes of their texts together
	MaxName    = 64        // bytes of the name of a bundle or of a file
	MaxBundles = 8         // bundles of one controller, and so of one host
)

// Digest names a content for ever.
type Digest [sha256.Size]byte

// File is one file. Files of a bundle are in the order of their names.
type File struct {
	Name string // such as "disk.hcl", without a folder
	Text string // HCL in UTF-8
}

var (
	names     = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)
	fileNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\.hcl$`)
)

// CheckName says what is wrong with the name of a bundle, nil if nothing is.
func CheckName(name string) error {
	if len(name) > MaxName || !names.MatchString(name) {
		return fmt.Errorf("%q is no name of a bundle: it has up to %d small letters, digits, and _ . -", clip(name), MaxName)
	}
	return nil
}

// Check says what is wrong with the files of a bundle as files, nil if nothing is.
func Check(files []File) error {
	if len(files) == 0 {
		return fmt.Errorf("a bundle without files")
	}
	if len(files) > MaxFiles {
		return fmt.Errorf("%d files; a bundle has at most %d", len(files), MaxFiles)
	}
	size := 0
	for i, f := range files {
		size += len(f.Text)
		switch {
		case len(f.Name) > MaxName || !fileNames.MatchString(f.Name):
			return fmt.Errorf("%q is no name of a file: it has up to %d letters, digits, and _ . -, and ends in .hcl",
				clip(f.Name), MaxName)
		case !utf8.ValidString(f.Text):
			return fmt.Errorf("%s is not UTF-8", f.Name)
		case i > 0 && files[i-1].Name >= f.Name:
			return fmt.Errorf("%s comes after %s: files are in the order of their names, each once", f.Name, files[i-1].Name)
		}
	}
	if size > MaxSize {
		return fmt.Errorf("the files have %d bytes; a bundle has at most %d", size, MaxSize)
	}
	return nil
}

func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 2*MaxName)], "?")
}

// Sum is the digest of files: SHA-256 over names and texts in their order, each with its length before it in 8 bytes, the
// greatest first, so that no two bundles share one.
func Sum(files []File) Digest {
	sum := sha256.New()
	for _, f := range files {
		for _, part := range []string{f.Name, f.Text} {
			_ = binary.Write(sum, binary.BigEndian, uint64(len(part))) // a hash takes everything
			sum.Write([]byte(part))
		}
	}
	return Digest(sum.Sum(nil))
}
