package unit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestUnified(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a.slice/a-b.slice"), 0o755); err != nil {
		t.Fatal(err)
	}
	version1 := map[string]tree{"name=systemd": {dir: dir, root: "/", v1: true}, "memory": {dir: dir, root: "/", v1: true}}
	whole := map[string]tree{"": {dir: dir, root: "/"}}
	below := map[string]tree{"": {dir: dir, root: "/box"}} // a container whose groups have no name space
	for _, c := range []struct {
		trees map[string]tree
		group string
		want  string
		depth int
	}{
		{whole, "/a.slice/a-b.slice", "/a.slice/a-b.slice", 2},
		{whole, "/a.slice", "/a.slice", 1},
		{below, "/box/a.slice", "/a.slice", 2},
		{whole, "/c.slice", "", 0},
		{version1, "/a.slice", "", 0},
	} {
		folder, depth, err := unified(c.trees, c.group)
		switch {
		case c.want == "" && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: %s, %v", c.group, folder, err)
		case c.want != "" && (err != nil || folder != dir+c.want || depth != c.depth):
			t.Errorf("%s is %s, %d deep, %v; want %d", c.group, folder, depth, err, c.depth)
		}
	}
}
