package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// excerpt is the source of a file, carried by diagnostics so that they can be shown with the line.
type excerpt []byte

// Colors of a terminal.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	plainC = "\x1b[0m"
)

// Line is a diagnostic on one line: FILE:LINE:COLUMN: error: title; sentences.
func Line(d *hcl.Diagnostic) string {
	var b strings.Builder
	if d.Subject != nil {
		b.WriteString(place(*d.Subject) + ": ")
	}
	b.WriteString(severity(d) + ": " + d.Summary)
	if d.Detail != "" {
		b.WriteString("; " + strings.ReplaceAll(d.Detail, "\n", " "))
	}
	return b.String()
}

// Render shows diagnostics to a person, each with the line of the file that it is about:
//
//	/etc/salve/agent.hcl:3:1: error: Unknown key
//	  3 | autonmy = "full"
//	    | ^^^^^^^
//	  "autonmy" is not a key of the file. Did you mean "autonomy"?
func Render(w io.Writer, diags hcl.Diagnostics, color bool) error {
	var b strings.Builder
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return code + s + plainC
	}
	for i, d := range diags {
		if i > 0 {
			b.WriteByte('\n')
		}
		if d.Subject != nil {
			b.WriteString(paint(bold, place(*d.Subject)+":") + " ")
		}
		tint := red
		if d.Severity == hcl.DiagWarning {
			tint = yellow
		}
		fmt.Fprintf(&b, "%s %s\n", paint(tint, severity(d)+":"), paint(bold, d.Summary))
		if src, ok := d.Extra.(excerpt); ok && d.Subject.Start.Line > 0 {
			quote(&b, src, *d.Subject)
		}
		if d.Detail != "" {
			b.WriteString("  " + strings.ReplaceAll(d.Detail, "\n", "\n  ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func severity(d *hcl.Diagnostic) string {
	if d.Severity == hcl.DiagWarning {
		return "warning"
	}
	return "error"
}

// maxQuote bounds a quoted line, in letters.
const maxQuote = 160

// quote writes the first line of the range and marks the range below it. Control characters are
// shown as ?, so that a file cannot play tricks on the terminal.
func quote(b *strings.Builder, src []byte, r hcl.Range) {
	if r.Start.Byte > len(src) {
		return
	}
	begin := bytes.LastIndexByte(src[:r.Start.Byte], '\n') + 1
	line := src[begin:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	shown := []rune(clean(line))
	from := utf8.RuneCount(src[begin:r.Start.Byte])
	marks := max(1, utf8.RuneCount(src[r.Start.Byte:max(r.Start.Byte, min(r.End.Byte, begin+len(line)))]))
	if len(shown) > maxQuote {
		start := min(max(0, from-maxQuote/2), len(shown)-maxQuote)
		shown, from = shown[start:start+maxQuote], from-start
		marks = min(marks, maxQuote-from)
	}
	number := fmt.Sprint(r.Start.Line)
	fmt.Fprintf(b, "  %s | %s\n", number, string(shown))
	fmt.Fprintf(b, "  %*s | %s%s\n", len(number), "", strings.Repeat(" ", from), strings.Repeat("^", max(1, marks)))
}

func clean(line []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ' || r == 127 || r == utf8.RuneError:
			return '?'
		}
		return r
	}, strings.TrimSuffix(string(line), "\r"))
}
