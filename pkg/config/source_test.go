package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTooLarge(t *testing.T) {
	src := "# " + strings.Repeat("x", maxFile) + "\n"
	if got := outcome(t, src); !strings.Contains(got, "larger than 1 MiB") {
		t.Error(got)
	}
	if got := outcome(t, src[:maxFile-1]+"\n"); strings.Contains(got, "error") {
		t.Error(got)
	}
}

func TestTooManyFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "agent.hcl"), nil)
	for i := range maxFiles - 1 {
		write(t, filepath.Join(dir, "rules.d", fmt.Sprintf("%04d.hcl", i)), nil)
	}
	a, diags := LoadAgent(filepath.Join(dir, "agent.hcl"), LoadOptions{})
	if diags.HasErrors() || len(a.Files) != maxFiles {
		t.Fatalf("%v", diags)
	}
	write(t, filepath.Join(dir, "rules.d", "one-more.hcl"), nil)
	_, diags = LoadAgent(filepath.Join(dir, "agent.hcl"), LoadOptions{})
	if !strings.Contains(diags.Error(), "at most 1000") {
		t.Errorf("%v", diags)
	}
}

// A pipe instead of a file must not be waited for.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	check(t, syscall.Mkfifo(filepath.Join(dir, "agent.hcl"), 0o600))
	_, diags := LoadAgent(filepath.Join(dir, "agent.hcl"), LoadOptions{})
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "it is a pipe") {
		t.Errorf("%v", diags)
	}
}

// Loading must not depend on the order of maps: messages come in the order of the files.
func TestSameMessagesEveryTime(t *testing.T) {
	var src strings.Builder
	for i := range 20 {
		fmt.Fprintf(&src, "wrong_%d = 1\n", i)
	}
	src.WriteString("allow {\n  a = 1\n  b = 2\n}\n")
	first := outcome(t, src.String())
	for range 5 {
		if again := outcome(t, src.String()); again != first {
			t.Fatalf("%s\nthen\n%s", first, again)
		}
	}
}

// info is a file as somebody else's umask leaves it.
type info struct {
	mode fs.FileMode
	gid  uint32
}

func (i info) Name() string       { return "x" }
func (i info) Size() int64        { return 0 }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return &syscall.Stat_t{Gid: i.gid} }

func TestWritable(t *testing.T) {
	for _, c := range []struct {
		info
		want bool
	}{
		{info{0o755, 0}, false},
		{info{0o755, 1000}, false},
		{info{0o775, 0}, false}, // the group root is root
		{info{0o775, 1000}, true},
		{info{0o757, 0}, true},
		{info{0o777, 1000}, true},
	} {
		if got := writable(c.info); got != c.want {
			t.Errorf("mode %04o of group %d: %v", c.mode, c.gid, got)
		}
	}
}

func TestFormat(t *testing.T) {
	got, diags := Format([]byte("host=\"a\"\nlabels   =   {a=\"b\"}\nservice   \"x\" {\nevery=\"1s\" # why\n}\n"))
	const want = "host   = \"a\"\nlabels = { a = \"b\" }\nservice \"x\" {\n  every = \"1s\" # why\n}\n"
	if string(got) != want || len(diags) != 0 {
		t.Errorf("got %s%v", got, diags)
	}
	broken := []byte("host = (")
	if got, diags = Format(broken); !bytes.Equal(got, broken) || !diags.HasErrors() {
		t.Errorf("a broken file became %q, %v", got, diags)
	}
}

// Formatting again changes nothing, whatever was formatted; and it changes no meaning.
func TestFormatIsIdempotent(t *testing.T) {
	files, err := filepath.Glob("testdata/load/*.txt")
	check(t, err)
	more, err := filepath.Glob(shipped + "/*/*.hcl")
	check(t, err)
	for _, f := range append(files, more...) {
		src, err := os.ReadFile(f)
		check(t, err)
		input, _, _ := strings.Cut(string(src), divider)
		for part := range strings.SplitSeq(input, "\n-- ") {
			_, part, found := strings.Cut(part, " --\n")
			if !found {
				part = input
			}
			once, diags := Format([]byte(part))
			if diags.HasErrors() {
				continue
			}
			if twice, _ := Format(once); !bytes.Equal(once, twice) {
				t.Errorf("%s:\n%s\nbecame\n%s", f, once, twice)
			}
		}
	}
}

func TestRender(t *testing.T) {
	s := layOut(t, "autonmy = \"full\"\nallow {\n  units = [\t\"caf\u00e9\u0007\", 7]\n}\n")
	_, diags := LoadAgent(filepath.Join(s.dir, "agent.hcl"), s.opts)
	var b bytes.Buffer
	check(t, Render(&b, diags, false))
	got := strings.ReplaceAll(b.String(), s.dir+"/", "")
	const want = `agent.hcl:1:1: error: Unknown key
  1 | autonmy = "full"
    | ^^^^^^^
  "autonmy" is not a key of agent.hcl. Did you mean "autonomy"?

agent.hcl:2:1: error: Missing key
  2 | allow {
    | ^^^^^
  Allow needs "actions".

agent.hcl:3:13: error: Wrong value
  3 |   units = [ "café?", 7]
    |             ^^^^^^^
  units: "café\a" is no unit name: systemd does not allow 'é' in it.

agent.hcl:3:22: error: Wrong type
  3 |   units = [ "café?", 7]
    |                      ^
  This must be a text in quotes, written out.
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	b.Reset()
	check(t, Render(&b, diags[:1], true))
	if !strings.Contains(b.String(), red+"error:"+plainC) {
		t.Errorf("no color in %q", b.String())
	}
}

// A line of a megabyte is shown around the place in question.
func TestRenderLongLine(t *testing.T) {
	s := layOut(t, "labels = { "+strings.Repeat("a = \"1\", ", 1000)+" }\n")
	_, diags := LoadAgent(filepath.Join(s.dir, "agent.hcl"), s.opts)
	var b bytes.Buffer
	check(t, Render(&b, diags[:1], false))
	for line := range strings.Lines(b.String()) {
		if len([]rune(line)) > maxQuote+len(s.dir)+80 {
			t.Errorf("a line of %d letters: %s", len(line), line)
		}
	}
	if !strings.Contains(b.String(), "^") {
		t.Errorf("no mark in %s", b.String())
	}
}

func TestTooManyProblems(t *testing.T) {
	got := outcome(t, strings.Repeat("a {}\n", 500))
	if n := strings.Count(got, "\n"); n != maxProblems+1 || !strings.Contains(got, "400 more") {
		t.Errorf("%d lines:\n%s", n, got)
	}
}
