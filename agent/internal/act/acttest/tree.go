package acttest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// Tree is all that lies below a folder, by its name below it: mode, owner, and the content of a file or what a link says.
func Tree(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := ""
		switch d.Type() {
		case fs.ModeSymlink:
			text, err = os.Readlink(path)
		case 0:
			var content []byte
			content, err = os.ReadFile(path)
			text = string(content)
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		st := info.Sys().(*syscall.Stat_t)
		out[name] = fmt.Sprintf("%v %d:%d %s", info.Mode(), st.Uid, st.Gid, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Changed checks that below a folder just these names are not as they were in before; "NAME is gone" is one that was there.
func Changed(t testing.TB, root string, before map[string]string, want ...string) {
	t.Helper()
	var got []string
	after := Tree(t, root)
	for name := range after {
		if after[name] != before[name] {
			got = append(got, name)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			got = append(got, name+" is gone")
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("changed are %q, want %q", got, want)
	}
}
