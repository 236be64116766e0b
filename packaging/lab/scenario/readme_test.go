//go:build lab

package scenario

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestReadme: what the README says under "Install" is what happens on a fresh Debian host, with nothing but what it
// says. UPDATE=1 writes the transcript into it.
func TestReadme(t *testing.T) {
	f := open(t)
	h := f.boot("solo", booted.HostOptions{})
	f.write(h, "/etc/hosts", "127.0.0.1 localhost\n", 0o644)
	f.must(copyFile(h, labService(t), "/usr/local/bin/lab-service", 0o755))
	f.write(h, "/etc/systemd/system/"+shop, shopUnit, 0o644)
	f.sh(h, "systemctl daemon-reload && systemctl start "+shop)
	version := strings.TrimPrefix(release, "v")
	for _, name := range []string{"salve-agent", "salve"} {
		file := fmt.Sprintf("%s_%s-1_amd64.deb", name, version)
		f.must(copyFile(h, pack(t, release)+"/"+file, "/root/"+file, 0o644))
	}

	const readme, begin, end = "../../../README.md", "<!-- transcript of packaging/lab/scenario -->\n```console\n", "```\n<!-- end -->\n"
	src, err := os.ReadFile(readme)
	f.must(err)
	before, rest, ok := strings.Cut(string(src), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md has no transcript")
	}
	got := f.transcript(h, commands(old))
	if diff := cmp.Diff(mask(old), mask(got)); diff != "" && os.Getenv("UPDATE") == "" {
		t.Errorf("README.md has another transcript (UPDATE=1 writes it):\n%s", diff)
	}
	if os.Getenv("UPDATE") != "" {
		f.must(os.WriteFile(readme, []byte(before+begin+got+end+after), 0o644))
	}
	if !strings.Contains(got, "verified") {
		t.Errorf("nothing was healed:\n%s", got)
	}
}

// commands are what is typed in a transcript: lines after "# ", with those that a shell reads up to END.
func commands(transcript string) []string {
	var out []string
	document := false
	for line := range strings.Lines(transcript) {
		switch {
		case document:
			out[len(out)-1] += line
			document = line != "END\n"
		case strings.HasPrefix(line, "# "):
			out = append(out, strings.TrimPrefix(line, "# "))
			document = strings.Contains(line, "<<END")
		}
	}
	return out
}

// transcript runs commands as root, one shell each, and returns what a terminal would show. What a machine shows
// that is slower than a person is asked again: until a new unit was seen, and until the incident has ended.
func (f *fleet) transcript(h *booted.Host, commands []string) string {
	f.t.Helper()
	var b strings.Builder
	for i, c := range commands {
		var out string
		f.eventually(upTime, "the answer of a person's pace", func() string {
			out = f.sh(h, "cd /root; exec 2>&1; "+c+"\n true") // some end with what they found
			early := strings.Contains(out, "not known now")
			if i == len(commands)-1 {
				early = !strings.Contains(out, "verified") || strings.Contains(out, "NOT YET")
			}
			if early {
				return out
			}
			return ""
		})
		b.WriteString("# " + c + out)
	}
	return b.String()
}

var (
	volatile = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?|[0-9a-f]{16,}(-\d+)?|\d+(\.\d+)?( ms| s| µs|m?s)?\b`)
	spaces   = regexp.MustCompile(` +`)
)

// mask takes out what differs from run to run.
func mask(transcript string) string {
	return spaces.ReplaceAllString(volatile.ReplaceAllString(transcript, "N"), " ")
}
