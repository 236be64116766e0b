package polkit

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/pkg/glob"
)

// plain are the letters of unit names that mean themselves in a regular expression, too. No other letter of a
// pattern gets into the file as it is.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_@-"

// regex is the glob of a unit as an anchored regular expression that JavaScript and Go read alike. It matches
// what pkg/glob matches.
func regex(pattern string) (string, error) {
	if wrong := checkPattern(pattern); wrong != "" {
		return "", fmt.Errorf("no rule for %q: %s", pattern, wrong)
	}
	var b strings.Builder
	b.WriteByte('^')
	star := false
	for rest := pattern; rest != ""; {
		c := rest[0]
		rest = rest[1:]
		if c == '*' && star {
			continue // two are as good as one, and make matching slow
		}
		star = c == '*'
		switch c {
		case '*':
			b.WriteString(`[^\/]*`)
		case '?':
			b.WriteString(`[^\/]`)
		case '[':
			class, after, err := class(rest)
			if err != nil {
				return "", fmt.Errorf("no rule for %q: %w", pattern, err)
			}
			b.WriteString(class)
			rest = after
		default:
			b.WriteString(literal(c))
		}
	}
	b.WriteByte('$')
	return b.String(), nil
}

// checkPattern returns why the pattern is not one of units, or "". The configuration was checked when it was
// loaded; what root writes for polkit is checked once more, where it is written.
func checkPattern(pattern string) string {
	if !glob.Valid(pattern) {
		return "it is a broken glob"
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return r < '!' || r > '~' || r == '/' }) {
		return "it holds a letter that no unit's name has"
	}
	return ""
}

// class reads what follows the "[" of a class, and returns it as a regular expression's class.
func class(s string) (out, rest string, err error) {
	var b strings.Builder
	b.WriteByte('[')
	if s, ok := strings.CutPrefix(s, "^"); ok {
		b.WriteByte('^')
		return ranges(&b, s)
	}
	return ranges(&b, s)
}

// ranges reads letters and ranges up to the "]". glob.Valid has seen that they are whole.
func ranges(b *strings.Builder, s string) (out, rest string, err error) {
	for n := 0; ; n++ {
		if s == "" {
			return "", "", fmt.Errorf("a class has no end")
		}
		if s[0] == ']' && n > 0 {
			b.WriteByte(']')
			return b.String(), s[1:], nil
		}
		low, high := s[0], s[0]
		s = s[1:]
		if strings.HasPrefix(s, "-") {
			if len(s) < 2 {
				return "", "", fmt.Errorf("a range has no end")
			}
			high = s[1]
			s = s[2:]
		}
		if low > high { // matches nothing, but would be an error in a regular expression
			low, high = 0, 0
		}
		fmt.Fprintf(b, `\x%02x`, low)
		if high != low {
			fmt.Fprintf(b, `-\x%02x`, high)
		}
	}
}

func literal(c byte) string {
	if strings.IndexByte(plain, c) >= 0 {
		return string(c)
	}
	if c == '.' || c == '\\' {
		return `\` + string(c)
	}
	return fmt.Sprintf(`\x%02x`, c)
}
