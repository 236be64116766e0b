package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// fence is a block of code of a page: its words after the three marks, and its lines.
var fence = regexp.MustCompile("(?ms)^```([^\n]+)\n(.*?)^```$")

// took is what differs each time.
var took = regexp.MustCompile(`\bin [0-9.]+(µs|ms|s)\b`)

// instants differ each time, too.
var instants = regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b`)

// TestPages runs what the pages of docs tell people to type. A block "```hcl NAME" is a file, "```hcl NAME add" goes to
// its end; a block "```console CODE" holds one command and what it prints, and ends with that exit code, by default 0. With
// "await" for the code it is run until it prints that. Any other block is a command of the script, for what people only
// read of.
func TestPages(t *testing.T) {
	t.Run("writing rules", func(t *testing.T) {
		day, err := filepath.Abs(filepath.Join(dayFolder, "day.slr"))
		if err != nil {
			t.Fatal(err)
		}
		recorded := "recording web-1.slr 1767600000\ncp " + day + " badday.slr" // what agents recorded
		runPage(t, "../../../docs/writing-rules.md", recorded,
			testscript.Params{Cmds: map[string]func(*testscript.TestScript, bool, []string){"recording": writeRecording}})
	})
	t.Run("delivery", func(t *testing.T) {
		t.Parallel()
		runPage(t, "../../../docs/delivery.md", "cluster 1\nagent web-1 role=web\nagent web-2 role=web\nagent db-1 role=db",
			onCluster(t))
	})
}

// runPage runs a page after the lines of a script.
func runPage(t *testing.T, page, before string, p testscript.Params) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	fmt.Fprintln(&script, before)
	blocks, commands := fence.FindAllStringSubmatch(string(text), -1), 0
	for i, b := range blocks {
		words := strings.Fields(b[1])
		command, _, _ := strings.Cut(strings.TrimPrefix(b[2], "$ "), "\n")
		switch {
		case words[0] == "hcl" && len(words) > 1:
			fmt.Fprintf(&script, "lay %d %s\n", i, strings.Join(words[1:], " "))
		case words[0] == "console" && len(words) > 1 && words[1] == "await":
			commands++
			fmt.Fprintf(&script, "prints %d %s\n", i, command)
		case words[0] == "console":
			commands++
			fmt.Fprintf(&script, "exits %s %s\nprints %d\n", append(words, "0")[1], command, i)
		default:
			fmt.Fprintln(&script, b[1])
		}
	}
	if commands < 5 {
		t.Errorf("%s has %d commands: this test reads it wrongly", page, commands)
	}
	file := filepath.Join(t.TempDir(), "page.txtar")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Files, p.Dir, p.RequireExplicitExec = []string{file}, "", true
	p.Cmds["exits"] = exits
	p.Cmds["lay"] = func(ts *testscript.TestScript, _ bool, args []string) {
		lay(ts, block(ts, blocks, args[0]), args[1:])
	}
	p.Cmds["prints"] = func(ts *testscript.TestScript, _ bool, args []string) {
		prints(ts, block(ts, blocks, args[0]), args[1:])
	}
	testscript.Run(t, p)
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

// prints compares what the last command printed; a command that is given is run until it prints that.
func prints(ts *testscript.TestScript, text string, command []string) {
	_, want, _ := strings.Cut(text, "\n")
	for begun := time.Now(); ; <-time.After(100 * time.Millisecond) {
		if len(command) > 0 {
			ts.Check(ts.Exec(command[0], command[1:]...))
		}
		got := ts.ReadFile("stdout") + ts.ReadFile("stderr")
		if clean(got) == clean(want) {
			return
		}
		if len(command) == 0 || time.Since(begun) > clusterPatience {
			ts.Fatalf("it prints\n%s\nthe page says\n%s", clean(got), clean(want))
		}
	}
}

// blanks end lines of differences, and no line of a page.
var blanks = regexp.MustCompile(`(?m) +$`)

func clean(text string) string {
	text = blanks.ReplaceAllString(text, "")
	return strings.TrimSpace(instants.ReplaceAllString(took.ReplaceAllString(text, "in #"), "####-##-## ##:##:##"))
}
