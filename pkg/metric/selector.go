package metric

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Label is one of the labels that tell the series of a name apart.
type Label struct{ Name, Value string }

// Selector says which series are meant: by their name, and by conditions on their labels. A label that
// a series does not have is the empty text. The zero value matches nothing.
type Selector struct {
	name     string
	matchers []matcher
}

// maxMatchers bounds the conditions of one selector.
const maxMatchers = 32

// matcher is a condition on one label: = != =~ !~. Expressions match the whole value.
type matcher struct {
	label, value string
	equal        bool           // = and =~
	re           *regexp.Regexp // nil: value is compared
}

func (m matcher) holds(value string) bool {
	if m.re != nil {
		return m.re.MatchString(value) == m.equal
	}
	return (value == m.value) == m.equal
}

// String writes the selector as ParseSelector reads it.
func (s Selector) String() string {
	if len(s.matchers) == 0 {
		return s.name
	}
	conditions := make([]string, len(s.matchers))
	for i, m := range s.matchers {
		op := map[[2]bool]string{{true, false}: "=", {false, false}: "!=", {true, true}: "=~", {false, true}: "!~"}
		conditions[i] = m.label + op[[2]bool{m.equal, m.re != nil}] + strconv.Quote(m.value)
	}
	return s.name + "{" + strings.Join(conditions, ",") + "}"
}

// Name is the name of the series that are meant.
func (s Selector) Name() string { return s.name }

// Matches reports whether a series is meant.
func (s Selector) Matches(name string, labels []Label) bool {
	if s.name != name || name == "" {
		return false
	}
	for _, m := range s.matchers {
		value := ""
		if i := slices.IndexFunc(labels, func(l Label) bool { return l.Name == m.label }); i >= 0 {
			value = labels[i].Value
		}
		if !m.holds(value) {
			return false
		}
	}
	return true
}

// buckets is the selector of the buckets of a classic histogram.
func (s Selector) buckets() Selector { return Selector{s.name + "_bucket", s.matchers} }

// ParseSelector reads a selector as Prometheus writes it: http_requests_total{code=~'5..',path!="/"}.
// Its errors are the rest of a sentence, for the operator.
func ParseSelector(text string) (Selector, error) {
	name, rest := cutName(text, true)
	if name == "" {
		return Selector{}, fmt.Errorf("%q does not begin with the name of a metric", text)
	}
	s := Selector{name: name}
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return s, nil
	}
	inner, opened := strings.CutPrefix(rest, "{")
	if !opened {
		return Selector{}, fmt.Errorf("%q cannot stand after the name %s; conditions on labels stand in { }", rest, name)
	}
	for {
		inner = strings.TrimSpace(inner)
		if after, closed := strings.CutPrefix(inner, "}"); closed {
			if after = strings.TrimSpace(after); after != "" {
				return Selector{}, fmt.Errorf("%q cannot stand after the conditions on labels", after)
			}
			return s, nil
		}
		m, after, err := parseMatcher(inner)
		if err != nil {
			return Selector{}, err
		}
		if s.matchers = append(s.matchers, m); len(s.matchers) > maxMatchers {
			return Selector{}, fmt.Errorf("a selector has at most %d conditions", maxMatchers)
		}
		after = strings.TrimSpace(after)
		comma := strings.HasPrefix(after, ",")
		if !comma && !strings.HasPrefix(after, "}") {
			return Selector{}, fmt.Errorf(`after the condition on %s comes "," or "}", not %q`, m.label, after)
		}
		inner = strings.TrimPrefix(after, ",")
	}
}

// parseMatcher cuts one condition off text.
func parseMatcher(text string) (m matcher, rest string, err error) {
	m.label, rest = cutName(text, false)
	if m.label == "" {
		return m, "", fmt.Errorf("a condition begins with the name of a label, not %q", text)
	}
	rest = strings.TrimSpace(rest)
	expression := false
	switch {
	case strings.HasPrefix(rest, "=~"):
		m.equal, expression, rest = true, true, rest[2:]
	case strings.HasPrefix(rest, "!~"):
		expression, rest = true, rest[2:]
	case strings.HasPrefix(rest, "!="):
		rest = rest[2:]
	case strings.HasPrefix(rest, "="):
		m.equal, rest = true, rest[1:]
	default:
		return m, "", fmt.Errorf("after the label %s comes = != =~ or !~", m.label)
	}
	if m.value, rest, err = unquote(strings.TrimSpace(rest)); err != nil {
		return m, "", fmt.Errorf("the value of the label %s %w", m.label, err)
	}
	if expression {
		if _, err = regexp.Compile(m.value); err != nil {
			return m, "", fmt.Errorf("the expression of the label %s cannot be read: %w", m.label, err)
		}
		if m.re, err = regexp.Compile("^(?s:" + m.value + ")$"); err != nil {
			return m, "", fmt.Errorf("the expression of the label %s is too large: %w", m.label, err)
		}
	}
	return m, rest, nil
}

// unquote cuts a quoted text off s. What is escaped in it is escaped as in Go, as Prometheus has it.
func unquote(s string) (value, rest string, err error) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return "", "", errors.New("stands in quotes")
	}
	quote, s := s[0], s[1:]
	var b strings.Builder
	for s != "" && s[0] != quote {
		r, multibyte, tail, err := strconv.UnquoteChar(s, quote)
		if err != nil {
			return "", "", errors.New("has an unknown escape or a broken letter in it")
		}
		if r < 0x80 || multibyte {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		s = tail
	}
	if s == "" {
		return "", "", errors.New("has no quote at its end")
	}
	return b.String(), s[1:], nil
}

// cutName cuts the name of a metric or of a label off text; only the former may have a colon in it.
func cutName(text string, colon bool) (name, rest string) {
	i := 0
	for i < len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || colon && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			break
		}
		i++
	}
	return text[:i], text[i:]
}
