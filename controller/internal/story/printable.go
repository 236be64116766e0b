package story

import (
	"io"
	"strings"
	"unicode"
)

// Printable is w without control characters but line ends and tabs. What agents tell comes in part
// from logs and probes, and nothing of it may steer the terminal of who reads it.
func Printable(w io.Writer) io.Writer { return printable{w} }

type printable struct{ w io.Writer }

// Write implements io.Writer.
func (p printable) Write(b []byte) (int, error) {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, string(b))
	if _, err := io.WriteString(p.w, clean); err != nil {
		return 0, err
	}
	return len(b), nil
}

// oneLine keeps a text within its line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
