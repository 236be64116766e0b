package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// documents renders what the programs' own help says: their man pages, and the completions of the first, which people
// call by hand.
func (b *builder) documents(name string) error {
	var first manual
	for i, program := range programs(name) {
		m, err := b.manualOf(program, filepath.Join(b.stage, "bin", program))
		if err != nil {
			return err
		}
		if err := b.zip(filepath.Join(name, program+"."+m.section+".gz"), m.roff()); err != nil {
			return err
		}
		if i == 0 {
			first = m
		}
	}
	all, err := completions(name, filepath.Join(b.stage, "bin", name), first.pages[0])
	if err != nil {
		return err
	}
	for shell, text := range all {
		if err := os.WriteFile(filepath.Join(b.stage, name, "completion."+shell), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// shared renders what all packages have: the changes, and the licence as Debian wants it.
func (b *builder) shared() error {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	if err := b.zip("changelog.gz", string(changes)); err != nil {
		return err
	}
	text := fmt.Sprintf(copyright, homepage, b.o.git.date.Year())
	return os.WriteFile(filepath.Join(b.stage, "copyright"), []byte(text), 0o644)
}

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: salve
Source: %s

Files: *
Copyright: %d the authors of Salve
License: Apache-2.0
 On Debian systems, the full text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
Comment:
 The Go modules that are linked in are listed, with their versions and sums, in the
 SPDX document that is published beside this package.
`

// changes is the changelog in Debian's form: this package, and where the changes are told.
func (b *builder) changes(name string) error {
	return b.zip(filepath.Join(name, "changelog.Debian.gz"), fmt.Sprintf(
		"%s (%s-1) unstable; urgency=medium\n\n  * Built from commit %s.\n"+
			"  * What changed is told in changelog.gz.\n\n -- %s  %s\n",
		name, b.version, b.o.git.commit, maintainer, b.o.git.date.Format("Mon, 02 Jan 2006 15:04:05 -0700")))
}

// zip writes a file below the stage, compressed, without a name or time in it.
func (b *builder) zip(name, text string) error {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(strings.TrimRight(text, "\n") + "\n")); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.stage, name), out.Bytes(), 0o644)
}
