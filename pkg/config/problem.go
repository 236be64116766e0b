package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/signal"
)

// problem makes a diagnostic: a short title, and sentences that say what to do.
func problem(sev hcl.DiagnosticSeverity, at hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	detail := fmt.Sprintf(format, args...)
	if strings.HasSuffix(detail, "?.") { // the last of the sentences is a question
		detail = strings.TrimSuffix(detail, ".")
	}
	return &hcl.Diagnostic{Severity: sev, Summary: summary, Detail: detail, Subject: &at}
}

// meant is " Did you mean …?" for a word that is close to one of the known, else "".
func meant(given string, known []string) string {
	if close := signal.Closest(given, known); close != "" && close != given {
		return fmt.Sprintf(" Did you mean %q?", close)
	}
	return ""
}

// oneOf is the end of a message about a word that is none of the known.
func oneOf(given string, known []string) string {
	if hint := meant(given, known); hint != "" {
		return hint
	}
	return " Known are " + strings.Join(known, ", ") + "."
}

// place is how people and editors name a position.
func place(r hcl.Range) string {
	if r.Start.Line == 0 {
		return r.Filename
	}
	return fmt.Sprintf("%s:%d:%d", r.Filename, r.Start.Line, r.Start.Column)
}
