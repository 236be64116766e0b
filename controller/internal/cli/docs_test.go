package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// fence is a block of code of a page: its words after the three marks, and its lines.
var fence = regexp.MustCompile("(?ms)^```([^\n]+)\n(.*?)^```$")

// took is what differs each time.
var took = regexp.MustCompile(`\bin [0-9.]+(µs|ms|s)\b`)

// TestPages runs what the pages of docs tell people to type. A block "```hcl NAME" is a file, "```hcl NAME add" goes to
// its end; a block "```console CODE" holds one command and what it prints, and ends with that exit code, by default 0.
func TestPages(t *testing.T) {
	const page = "../../../docs/writing-rules.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	fmt.Fprintln(&script, "recording web-1.slr 1767600000") // what an agent recorded
	day, err := filepath.Abs(filepath.Join(dayFolder, "day.slr"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&script, "cp %s badday.slr\n", day)
	blocks, commands := fence.FindAllStringSubmatch(string(text), -1), 0
	for i, b := range blocks {
		switch words := strings.Fields(b[1]); {
		case words[0] == "hcl" && len(words) > 1:
			fmt.Fprintf(&script, "lay %d %s\n", i, strings.Join(words[1:], " "))
		case words[0] == "console":
			commands++
			command, _, _ := strings.Cut(strings.TrimPrefix(b[2], "$ "), "\n")
			fmt.Fprintf(&script, "exits %s %s\nprints %d\n", append(words, "0")[1], command, i)
		default:
			t.Errorf("%s: a block %q is neither a file nor a command", page, b[1])
		}
	}
	if commands < 5 {
		t.Errorf("%s has %d commands: this test reads it wrongly", page, commands)
	}
	file := filepath.Join(t.TempDir(), "page.txtar")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Files: []string{file}, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"recording": writeRecording,
			"lay": func(ts *testscript.TestScript, _ bool, args []string) {
				lay(ts, block(ts, blocks, args[0]), args[1:])
			},
			"prints": func(ts *testscript.TestScript, _ bool, args []string) { prints(ts, block(ts, blocks, args[0])) },
		},
	})
}

// block is what stands in the block of that number.
func block(ts *testscript.TestScript, blocks [][]string, number string) string {
	n, err := strconv.Atoi(number)
	ts.Check(err)
	return blocks[n][2]
}

// lay writes a file; with a second word, at its end.
func lay(ts *testscript.TestScript, text string, args []string) {
	path := ts.MkAbs(args[0])
	if len(args) > 1 {
		text = ts.ReadFile(path) + text
	}
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
}

// prints compares what the last command printed.
func prints(ts *testscript.TestScript, text string) {
	_, want, _ := strings.Cut(text, "\n")
	got := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if got, want = clean(got), clean(want); got != want {
		ts.Fatalf("it prints\n%s\nthe page says\n%s", got, want)
	}
}

func clean(text string) string { return strings.TrimSpace(took.ReplaceAllString(text, "in #")) }
