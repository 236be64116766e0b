package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/salveops/salve/pkg/config"
)

// maxSource bounds what is read of standard input.
const maxSource = 4 << 20

func (a *app) format() *cobra.Command {
	c := &cobra.Command{
		Use:   "fmt PATH…",
		Short: "Lay configuration out in the one way",
		Long: `Lay configuration out in the one way: files, or all .hcl files below folders. "-" is standard input.
The result goes to standard output, unless --write or --check says otherwise.

--check ends with 4 if a file is not laid out so, and names it.`,
		GroupID: groupConfig,
		Args:    atLeastOne("a file, a folder, or -"),
	}
	write := c.Flags().BoolP("write", "w", false, "write the files")
	check := c.Flags().Bool("check", false, "write nothing, name the files that would change")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if *write && *check {
			return usagef("--write and --check exclude each other")
		}
		files, err := sources(args)
		if err != nil {
			return err
		}
		var failed error
		changed := false
		for _, name := range files {
			differs, err := a.formatFile(name, *write, *check)
			failed = errors.Join(failed, err)
			changed = changed || differs
		}
		if failed == nil && *check && changed {
			return silently(exitFindings)
		}
		return failed
	}
	return c
}

// sources are the files that the arguments name: folders stand for all .hcl files below them.
func sources(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		if arg == "-" {
			files = append(files, arg)
			continue
		}
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !d.IsDir() && (path == arg || filepath.Ext(path) == ".hcl") {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find files: %w", err)
		}
	}
	return files, nil
}

// formatFile lays one file out and reports whether that changed it.
func (a *app) formatFile(name string, write, check bool) (bool, error) {
	src, err := a.read(name)
	if err != nil {
		return false, err
	}
	out, diags := config.Format(src)
	if diags.HasErrors() {
		rename(diags, name)
		return false, errors.Join(a.writeDiagnostics(diags), fmt.Errorf("%s cannot be laid out", name))
	}
	differs := !bytes.Equal(src, out)
	switch {
	case check && differs:
		_, err = fmt.Fprintln(a.Out, name)
	case check, write && !differs:
	case write && name != "-":
		err = overwrite(name, src, out)
	default:
		_, err = a.Out.Write(out)
	}
	return differs, err
}

// overwrite writes a file in place, so that owner, mode and links stay what they are. A disk that is full leaves old in
// it: old bytes are not given up before the new ones have their place.
func overwrite(name string, old, text []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if len(text) > len(old) {
		if _, err := f.WriteAt(text[len(old):], int64(len(old))); err != nil {
			return errors.Join(err, f.Truncate(int64(len(old))))
		}
	}
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(text)))
}

func (a *app) read(name string) ([]byte, error) {
	if name != "-" {
		return os.ReadFile(name)
	}
	src, err := io.ReadAll(io.LimitReader(a.In, maxSource+1))
	if err == nil && len(src) > maxSource {
		err = fmt.Errorf("standard input is longer than %d bytes", maxSource)
	}
	return src, err
}

// rename gives diagnostics of a source without a name its name.
func rename(diags hcl.Diagnostics, name string) {
	for _, d := range diags {
		if d.Subject != nil {
			d.Subject.Filename = name
		}
	}
}
