package bundle

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	many := make([]File, MaxFiles+1)
	for i := range many {
		many[i].Name = fmt.Sprintf("%03d.hcl", i)
	}
	for name, c := range map[string]struct {
		files []File
		want  string // part of the error; "": none
	}{
		"good":         {[]File{{"a.hcl", "x"}, {"b.hcl", ""}}, ""},
		"most":         {many[:MaxFiles], ""},
		"largest":      {[]File{{"a.hcl", strings.Repeat("x", MaxSize)}}, ""},
		"none":         {nil, "without files"},
		"too many":     {many, "65 files; a bundle has at most 64"},
		"too large":    {[]File{{"a.hcl", "x"}, {"b.hcl", strings.Repeat("x", MaxSize)}}, "have 245761 bytes"},
		"a folder":     {[]File{{"../a.hcl", ""}}, `"../a.hcl" is no name of a file`},
		"hidden":       {[]File{{".a.hcl", ""}}, "is no name"},
		"another kind": {[]File{{"a.txt", ""}}, "ends in .hcl"},
		"long name":    {[]File{{strings.Repeat("a", MaxName) + ".hcl", ""}}, "is no name"},
		"no text":      {[]File{{"a.hcl", "\xff"}}, "a.hcl is not UTF-8"},
		"twice":        {[]File{{"a.hcl", ""}, {"a.hcl", ""}}, "each once"},
		"wrong order":  {[]File{{"b.hcl", ""}, {"a.hcl", ""}}, "a.hcl comes after b.hcl"},
	} {
		err := Check(c.files)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for name, good := range map[string]bool{"base": true, "web-2.rules_x": true, "": false, "Base": false, "a/b": false,
		"-a": false, strings.Repeat("a", MaxName+1): false} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// No two bundles share a digest because a name ends where a text begins.
func TestSum(t *testing.T) {
	seen := map[Digest]int{}
	for i, files := range [][]File{
		nil, {{"a.hcl", ""}}, {{"a.hcl", "b"}}, {{"a.hclb", ""}}, {{"a.hcl", "b"}, {"c.hcl", ""}}, {{"a.hcl", "bc.hcl"}},
	} {
		if other, twice := seen[Sum(files)]; twice {
			t.Errorf("bundles %d and %d have one digest", other, i)
		}
		seen[Sum(files)] = i
	}
}
