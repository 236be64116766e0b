package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/defaults"
)

const packIntro = `# The rule pack

Rendered from the files in ` + "`configs/rules.d`" + `, which are the rules. Update: ` + "`UPDATE=1 go test ./pkg/config -run PackDocs`" + `.

The packages put the files into ` + "`/usr/share/doc/salve-agent/examples/rules.d`" + `, and none of them is in force. To take one:

` + "```" + `
cp /usr/share/doc/salve-agent/examples/rules.d/redis.hcl /etc/salve/rules.d/
salve validate /etc/salve
systemctl reload salve-agent
` + "```" + `

Each file is complete: a ` + "`service`" + ` block says which unit it is about and where its metrics are, then come its rules and their
tests. What differs on your host is in the ` + "`service`" + ` block: the unit, the port of the exporter, a socket. The rules need no
change; where you change one, ` + "`salve test`" + ` says what it no longer sees. A remedy runs only on a unit that an ` + "`allow`" + ` block
names, and never with ` + "`autonomy = \"observe\"`" + `; most rules have none, and tell people.

Each rule looks at two things where one would lie, and its text says what it would have called falsely. Names of metrics are
checked against pages that the real exporters told, and the pack is tried on the recording of a day on which these services
were really broken (` + "`packaging/lab/badday`" + `).
`

// commentAbove is the comment that ends above a line, counted from 1, as one paragraph.
func commentAbove(lines []string, line int) string {
	end := line - 1
	begin := end
	for begin > 0 && strings.HasPrefix(lines[begin-1], "#") {
		begin--
	}
	return paragraph(lines[begin:end])
}

func paragraph(lines []string) string {
	var words []string
	for _, l := range lines {
		words = append(words, strings.Fields(strings.TrimPrefix(l, "#"))...)
	}
	return strings.Join(words, " ")
}

// packDocs renders the page; every rule must say why it is there.
func packDocs(t *testing.T) string {
	var out strings.Builder
	out.WriteString(packIntro)
	rules := slices.Clone(pack(t).Rules)
	slices.SortStableFunc(rules, func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(a.Range.Filename, b.Range.Filename), cmp.Compare(a.Range.Start.Line, b.Range.Start.Line))
	})
	file, lines := "", []string(nil)
	for _, r := range rules {
		if r.BuiltIn {
			continue
		}
		if file != r.Range.Filename {
			file = r.Range.Filename
			text, err := os.ReadFile(file)
			check(t, err)
			lines = strings.Split(string(text), "\n")
			head := slices.IndexFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "#") })
			fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", filepath.Base(file), paragraph(lines[:head]))
		}
		why := commentAbove(lines, r.Range.Start.Line)
		if why == "" {
			t.Errorf("%s: no comment says why %s is there", file, r.Name)
		}
		try := "tells people"
		if len(r.Try) > 0 {
			try = "tries " + strings.Join(r.Try, ", then ") + ", then tells people"
		}
		fmt.Fprintf(&out, "- **%s** (%s): %s\n  Fires when `%s` for %s; %s.\n", r.Name, r.Severity, why,
			strings.Join(strings.Fields(r.When.Text()), " "), defaults.Duration(r.For), try)
	}
	return out.String()
}

// TestPackDocs fails when docs/rule-pack.md is stale.
func TestPackDocs(t *testing.T) {
	const page = "../../docs/rule-pack.md"
	want := packDocs(t)
	if os.Getenv("UPDATE") != "" {
		check(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got, err := os.ReadFile(page)
	check(t, err)
	if diff := gocmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/rule-pack.md is stale: UPDATE=1 go test ./pkg/config -run PackDocs\n%s", diff)
	}
}
