package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPackageVersion(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2.0":                        "1.2.0",
		"v1.2.0-dirty":                  "1.2.0+dirty",
		"v1.2.0-3-gabc1234":             "1.2.0+3.gabc1234",
		"v1.2.0-rc1":                    "1.2.0~rc1",
		"v1.2.0-rc1-12-gabc1234-dirty":  "1.2.0~rc1+12.gabc1234+dirty",
		"abc1234":                       "0.0.0~git20260102.0123456",
		"abc1234-dirty":                 "0.0.0~git20260102.0123456+dirty",
		"vault":                         "0.0.0~git20260102.0123456",
		"v":                             "0.0.0~git20260102.0123456",
		"release-2026-01-02-4-gabc1234": "0.0.0~git20260102.0123456",
	} {
		r := revision{described, "0123456789abcdef", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
		if got := packageVersion(r); got != want {
			t.Errorf("%s is %s, want %s", described, got, want)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	good := options{formats: []string{"deb"}, packages: names(), git: revision{version: "v1", commit: "abc"}}
	for want, spoil := range map[string]func(o *options, date *string){
		"--date":     func(_ *options, date *string) { *date = "yesterday" },
		"--version":  func(o *options, _ *string) { o.git.version = "" },
		"--formats":  func(o *options, _ *string) { o.formats = []string{"apk"} },
		"--packages": func(o *options, _ *string) { o.packages = []string{"salve-agents"} },
	} {
		o, date := good, "2026-01-02T03:04:05Z"
		spoil(&o, &date)
		if err := run(o, date); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestFormats: the constants that say which state a program can read are where the scripts' maker looks.
func TestFormats(t *testing.T) {
	for name, d := range daemons() {
		n, err := format(filepath.Join("../..", d.formatIn), d.formatName)
		if err != nil || n < 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if n, err := format("../../agent/internal/journal", "keyFormat"); err == nil {
		t.Errorf("a constant that is no number is %d", n)
	}
}

const daemonHelp = `Usage: thing [flags]          run it
       thing reload [flags]   ask it
       thing rules [FILE] [flags]
                              tell it

Exit codes: 0 well; 1 not.

Flags:
      --config string           file (default "/etc/thing")
      --log-json[=true|false]   log 'JSON' lines [really]
`

const commandHelp = `Stop it.

.And then?

Usage:
  salve agent stop [UNIT]

Examples:
  salve agent stop x --for 1h

The fleet:
  now         Stop now
  later-on    Stop later

Flags:
  -h, --help[=true|false]   help for stop
      --for duration        how long

Use "salve agent stop --help" for more information.
`

func TestParseHelp(t *testing.T) {
	p := parseHelp("thing", daemonHelp)
	if got := commandsOf("thing", p); !slices.Equal(got, []string{"reload", "rules"}) || len(p.below) > 0 {
		t.Errorf("commands %v, below it %v", got, p.below)
	}
	want := []flag{{"--config", "", `file (default "/etc/thing")`}, {"--log-json", "", "log 'JSON' lines [really]"}}
	if diff := cmp.Diff(want, p.flags, cmp.AllowUnexported(flag{})); diff != "" {
		t.Error(diff)
	}
	p = parseHelp("salve agent stop", commandHelp)
	if !slices.Equal(p.below, []string{"now", "later-on"}) || len(p.flags) != 2 || p.flags[0].short != "-h" {
		t.Errorf("below it %v, flags %v", p.below, p.flags)
	}
}

// TestRoff: UPDATE=1 writes the pages anew.
func TestRoff(t *testing.T) {
	daemon := manual{name: "thing", section: "8", summary: "do a thing", date: "2026-01-02", version: "1.2.0",
		pages: []page{parseHelp("thing", daemonHelp)}, see: []string{"salve.1"}}
	golden(t, "daemon.roff", daemon.roff())
	top := parseHelp("salve", commandHelp)
	command := manual{name: "salve", section: "1", summary: `it's -- a \thing`, date: "2026-01-02", version: "1.2.0",
		pages: []page{top, parseHelp("salve agent stop", commandHelp)}, exit: "Exit codes\n\n  0  Well.\n  1  Not.\n",
		see: []string{"salve-agent.8", "salve-controller.8"}}
	golden(t, "command.roff", command.roff())
	for l := range strings.Lines(command.roff()) {
		if strings.HasPrefix(l, ".And") {
			t.Error("a word of the help is read as a request of roff")
		}
	}
}

func TestCompletions(t *testing.T) {
	all, err := completions("thing", "", parseHelp("thing", daemonHelp))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "completion.txt", all["bash"]+"----\n"+all["zsh"]+"----\n"+all["fish"])
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not as in %s:\n%s", file, diff)
	}
}
