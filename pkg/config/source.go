package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
)

// Bounds of what is read. A configuration that is larger was not written by people.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxFiles = 1000

	maxProblems = 100 // diagnostics that people are shown
)

// sources are the files that were read, kept for messages and for the digest.
type sources struct {
	parser *hclparse.Parser
	names  []string // in the order in which they were read
	order  map[string]int
	failed bool // some file could not be read or parsed
}

func newSources() *sources {
	return &sources{parser: hclparse.NewParser(), order: map[string]int{}}
}

// read parses one file; nil when that was not possible, and the loader knows why.
func (s *sources) read(path string, l *loader) *hcl.File {
	s.order[path] = len(s.order)
	at := hcl.Range{Filename: path}
	if len(s.names) == maxFiles {
		l.fail(at, "Too many files", "A configuration has at most %d files.", maxFiles)
		s.failed = true
		return nil
	}
	src, err := slurp(path)
	if err != nil {
		l.fail(at, "Cannot read the file", "%s.", reason(err))
		s.failed = true
		return nil
	}
	s.names = append(s.names, path)
	return s.parse(path, src, l)
}

// add takes the text of a file that lies nowhere; nil when it cannot be parsed.
func (s *sources) add(path string, src []byte, l *loader) *hcl.File {
	s.order[path] = len(s.order)
	s.names = append(s.names, path)
	return s.parse(path, src, l)
}

func (s *sources) parse(path string, src []byte, l *loader) *hcl.File {
	if bad := notText(path, src); bad != nil {
		l.diags = append(l.diags, bad)
		s.parser.AddFile(path, &hcl.File{Bytes: src})
		s.failed = true
		return nil
	}
	file, diags := s.parser.ParseHCL(src, path)
	l.diags = append(l.diags, diags...)
	if diags.HasErrors() {
		s.failed = true
		return nil
	}
	return file
}

// slurp reads a regular file that is not too large. Opening a pipe would wait for ever for a writer,
// so the file is opened without waiting and looked at before it is read.
func slurp(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is a %s, not a file", kindOfFile(info.Mode()))
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(src) > maxFile {
		return nil, errors.New("it is larger than 1 MiB")
	}
	return src, nil
}

func kindOfFile(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// reason is why a file operation failed, without the path, which is named already.
func reason(err error) string {
	text := err.Error()
	var perr *fs.PathError
	if errors.As(err, &perr) {
		text = perr.Err.Error()
	}
	if errors.Is(err, syscall.ELOOP) {
		text = "its symbolic links lead in a circle"
	}
	return text
}

// list names the files of the rules folder in order. Files that editors and package managers leave
// behind do not end in .hcl or begin with a dot, and are left out.
func (l *loader) list(folder string, at hcl.Range, named bool) []string {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil
	}
	if err != nil {
		l.fail(at, "Cannot read the rules folder", "%s: %s.", folder, reason(err))
		l.sources.failed = true
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".hcl") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	if len(names) >= maxFiles {
		l.fail(at, "Too many files", "%s holds %d files; a configuration has at most %d.", folder, len(names), maxFiles)
		l.sources.failed = true
		return nil
	}
	sort.Strings(names)
	return names
}

// notText finds what the HCL parser must not see: bytes that are no UTF-8, and nesting so deep that
// no person wrote it, on which a recursive parser would exhaust the stack.
func notText(path string, src []byte) *hcl.Diagnostic {
	if !utf8.Valid(src) {
		at := 0
		for at < len(src) {
			r, n := utf8.DecodeRune(src[at:])
			if r == utf8.RuneError && n <= 1 {
				break
			}
			at += n
		}
		return problem(hcl.DiagError, position(path, src, at), "Not UTF-8",
			"The byte 0x%02x is not part of any UTF-8 text.", src[at])
	}
	if at, deep := tooDeep(src); deep {
		return problem(hcl.DiagError, position(path, src, at), "Too deep",
			"Brackets, operators or conditionals are nested more than %d deep here.", maxNesting)
	}
	return nil
}

func position(path string, src []byte, at int) hcl.Range {
	before := string(src[:at])
	line := strings.LastIndexByte(before, '\n') + 1
	pos := hcl.Pos{
		Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[line:]) + 1, Byte: at,
	}
	return hcl.Range{Filename: path, Start: pos, End: pos}
}

// arrange puts diagnostics into the order of the files and hands each its source for Render.
func (s *sources) arrange(diags hcl.Diagnostics) hcl.Diagnostics {
	files := s.parser.Files()
	key := func(d *hcl.Diagnostic) (int, int) {
		if d.Subject == nil {
			return -1, 0
		}
		return s.order[d.Subject.Filename], d.Subject.Start.Byte
	}
	sort.SliceStable(diags, func(i, j int) bool {
		fi, bi := key(diags[i])
		fj, bj := key(diags[j])
		return fi < fj || fi == fj && bi < bj
	})
	if len(diags) > maxProblems {
		more := &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Too many problems", Subject: diags[maxProblems].Subject,
			Detail: fmt.Sprintf("There are %d more from here on.", len(diags)-maxProblems)}
		if diags.HasErrors() {
			more.Severity = hcl.DiagError
		}
		diags = append(diags[:maxProblems:maxProblems], more)
	}
	for _, d := range diags {
		if d.Subject != nil && files[d.Subject.Filename] != nil {
			d.Extra = excerpt(files[d.Subject.Filename].Bytes)
		}
	}
	return diags
}

// digest is over names and contents, each with its length, so that no two configurations share one.
func (s *sources) digest() string {
	sum := sha256.New()
	files := s.parser.Files()
	for _, name := range s.names {
		for _, part := range [][]byte{[]byte(name), files[name].Bytes} {
			_ = binary.Write(sum, binary.BigEndian, uint64(len(part)))
			sum.Write(part)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}
