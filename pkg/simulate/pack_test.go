package simulate

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/config"
)

// conjuncts are the parts of a condition that all have to hold; one if it is not of that form.
func conjuncts(when string) []string {
	text := strings.TrimSpace(when)
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") {
		text = strings.TrimSpace(text[1 : len(text)-1])
	}
	var out []string
	depth, from := 0, 0
	for i := range text {
		switch {
		case text[i] == '(':
			depth++
		case text[i] == ')':
			depth--
		case depth == 0 && strings.HasPrefix(text[i:], "||"):
			return []string{text}
		case depth == 0 && strings.HasPrefix(text[i:], "&&"):
			out, from = append(out, text[from:i]), i+2
		}
	}
	return append(out, text[from:])
}

// instead puts another condition in the place of one, which may stand in several lines.
func instead(t *testing.T, file, when, other string) string {
	t.Helper()
	words := strings.Fields(when)
	for i := range words {
		words[i] = regexp.QuoteMeta(words[i])
	}
	at := regexp.MustCompile(strings.Join(words, `\s+`)).FindStringIndex(file)
	if at == nil {
		t.Fatalf("%q does not stand in the file", when)
	}
	return file[:at[0]] + other + file[at[1]:]
}

// passes reports whether all tests in the file pass in which the rule takes part.
func passes(t *testing.T, path, rule string) bool {
	t.Helper()
	cfg, diags := config.LoadTests(path, config.LoadOptions{Host: "h"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, test := range cfg.Tests {
		if newHost(cfg, test, known()).cfg.Rule(rule) != nil && len(Run(cfg, test).Failures) > 0 {
			return false
		}
	}
	return true
}

// TestPackNeedsEachSignal: a rule of the pack that loses one of the signals that it pairs fails one of the tests beside it.
// So each is there for a reason, and a rule that is wrong in this way is caught.
func TestPackNeedsEachSignal(t *testing.T) {
	files, err := filepath.Glob("../../configs/rules.d/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules: %v", err)
	}
	tried := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), filepath.Base(file))
		for _, r := range load(t, file).Rules {
			parts := conjuncts(r.When.Text())
			for i := range parts {
				if len(parts) == 1 {
					continue
				}
				rest := append(append([]string{}, parts[:i]...), parts[i+1:]...)
				wrong := instead(t, string(text), r.When.Text(), "("+strings.Join(rest, "&&")+")")
				if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
					t.Fatal(err)
				}
				if tried++; passes(t, path, r.Name) {
					t.Errorf("%s: no test fails without %s", r.Name, strings.TrimSpace(parts[i]))
				}
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d rules tried prove little", tried)
	}
}
