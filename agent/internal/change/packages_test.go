package change

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		m          manager
		line, want string
	}{
		{managers[0], "2026-11-27 21:00:00 upgrade nginx:amd64 1.22.1-1 1.22.1-2\n", "nginx 1.22.1-1 → 1.22.1-2"},
		{managers[0], "2026-11-27 21:00:00 upgrade nginx:amd64 1.22.1-2 1.22.1-2\n", "nginx 1.22.1-2 installed again"},
		{managers[0], "2026-11-27 21:00:00 install jq:amd64 <none> 1.6-2.1\n", "jq 1.6-2.1 installed"},
		{managers[0], "2026-11-27 21:00:00 install jq:amd64 1.5-1 1.6-2.1\n", "jq 1.5-1 → 1.6-2.1"},
		{managers[0], "2026-11-27 21:00:00 remove jq:amd64 1.6-2.1 <none>\n", "jq 1.6-2.1 removed"},
		{managers[0], "2026-11-27 21:00:00 status installed nginx:amd64 1.22.1-2\n", ""},
		{managers[0], "2026-11-27 21:00:00 configure nginx:amd64 1.22.1-2 <none>\n", ""},
		{managers[0], "2026-11-27 21:00:00 startup archives unpack\n", ""},
		{managers[1], "2026-11-27T21:00:00+0000 SUBDEBUG Upgrade: nginx-1:1.20.1-14.el9.x86_64\n",
			"nginx-1:1.20.1-14.el9.x86_64 upgraded"},
		{managers[1], "2026-11-27T21:00:00+0000 SUBDEBUG Upgraded: nginx-1:1.20.1-13.el9.x86_64\n", ""},
		{managers[1], "2026-11-27T21:00:00+0000 INFO --- logging initialized ---\n", ""},
	} {
		if got, _ := c.m.parse(c.line); got.text != c.want {
			t.Errorf("%q says %q, want %q", c.line, got.text, c.want)
		}
	}
}

// FuzzLog: whatever a log holds, only whole lines are taken, and each says at most one thing.
func FuzzLog(f *testing.F) {
	f.Add([]byte("2026-11-27 21:00:00 upgrade nginx:amd64 1.22.1-1 1.22.1-2\n2026-11-27 21:00:00 upgr"))
	f.Add([]byte("2026-11-27T21:00:00+0000 SUBDEBUG Upgrade: nginx-1:1.20.1-14.el9.x86_64\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, m := range managers[:2] {
			steps := parseLines(text, m)
			if lines := strings.Count(string(text), "\n") + 1; len(steps) > lines {
				t.Errorf("%d steps in %d lines", len(steps), lines)
			}
			for _, s := range steps {
				if s.name == "" || s.text == "" {
					t.Errorf("a step that says nothing: %+v", s)
				}
				owns(t.TempDir(), s.name, []string{"/lib/systemd/system/a.service"})
			}
		}
	})
}

func TestReadLog(t *testing.T) {
	dir := t.TempDir()
	line := func(pkg string) string { return "2026-11-27 21:00:00 install " + pkg + ":all <none> 1\n" }
	path := filepath.Join(dir, "dpkg.log")
	var at place
	want := func(when string, names ...string) {
		t.Helper()
		steps, now, err := read(path, at, managers[0])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range steps {
			got = append(got, strings.TrimSuffix(s.name, ":all"))
		}
		if !slices.Equal(got, names) {
			t.Errorf("%s: %q, want %q", when, got, names)
		}
		at = now
	}
	more := func(path, text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want("without a log")
	more(path, line("first"))
	want("with the first line", "first")
	at = place{}
	want("at first sight")
	more(path, line("a")+line("b")[:20])
	want("a line and a half", "a")
	more(path, line("b")[20:])
	want("the other half", "b")
	want("nothing new")
	more(path, line("c"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	want("while it is rotated")
	more(path, line("d"))
	want("rotated", "c", "d")
	if err := os.Rename(path, filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	more(path, line("e"))
	want("rotated away", "e")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	want("emptied")
	more(path, line("f"))
	want("and used again", "f")
	more(path, strings.Repeat(line("g"), maxRead/len(line("g"))+10))
	steps, _, err := read(path, at, managers[0])
	if err != nil || len(steps) == 0 || len(steps) > maxRead/len(line("g")) {
		t.Errorf("of a flood %d steps are read, %v", len(steps), err)
	}
}

func TestSentence(t *testing.T) {
	if got := sentence(slices.Repeat([]string{"x"}, 10)); got != "x, x, x, x, x, x, x, x and 2 more" {
		t.Error(got)
	}
}
