// Package jsonpath finds one value in a JSON document by a short path: names and positions with dots between them, such
// as queue.length or workers.0.busy. A name that is no word stands in double quotes: stats."db.main".size.
package jsonpath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bounds of a path.
const (
	longest = 256 // bytes
	deepest = 16  // steps
)

// Path is a parsed path. The zero value is the document itself.
type Path struct{ steps []string }

// Parse reads a path. An error says what is wrong with it, as the rest of a sentence.
func Parse(text string) (Path, error) {
	if len(text) > longest {
		return Path{}, fmt.Errorf("a path has at most %d bytes", longest)
	}
	var p Path
	for rest := text; ; {
		step, after, err := next(rest)
		if err != nil {
			return Path{}, fmt.Errorf("%q: %w", text, err)
		}
		p.steps = append(p.steps, step)
		if len(p.steps) > deepest {
			return Path{}, fmt.Errorf("%q has more than %d steps", text, deepest)
		}
		if after == "" {
			return p, nil
		}
		if rest = after[1:]; after[0] != '.' {
			return Path{}, fmt.Errorf("%q: after a name comes a dot, not %q", text, after)
		}
	}
}

// next cuts off the first step.
func next(text string) (step, after string, err error) {
	if !strings.HasPrefix(text, `"`) {
		n := strings.IndexFunc(text, func(r rune) bool { return !word(r) })
		if n < 0 {
			n = len(text)
		}
		if n == 0 {
			return "", "", errors.New(`a step is a word, a position, or a name in double quotes`)
		}
		return text[:n], text[n:], nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", errors.New("a quoted name has no end")
	}
	step, err = strconv.Unquote(quoted)
	return step, text[len(quoted):], err
}

func word(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// String is the path as Parse reads it.
func (p Path) String() string {
	var parts []string
	for _, s := range p.steps {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !word(r) }) {
			s = strconv.Quote(s)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ".")
}

// Number is the number at the path in a document that Decode made. Anything else there is an error that says what.
func (p Path) Number(document any) (float64, error) {
	at, err := p.find(document)
	if err != nil {
		return 0, err
	}
	n, ok := at.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%s is %s, not a number", p, kind(at))
	}
	v, err := n.Float64()
	if err != nil || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s is a number that is too large", p)
	}
	return v, nil
}

// Scalar is what stands at the path in a document that Decode made, as JSON writes it: 7, "7", true. An object, a list, or null
// is an error.
func (p Path) Scalar(document any) (string, error) {
	at, err := p.find(document)
	if err != nil {
		return "", err
	}
	switch at.(type) {
	case json.Number, string, bool:
		raw, err := json.Marshal(at)
		return string(raw), err
	}
	return "", fmt.Errorf("%s is %s, not one value", p, kind(at))
}

func (p Path) find(document any) (any, error) {
	at := document
	for i, step := range p.steps {
		inner, ok := descend(at, step)
		if !ok {
			return nil, fmt.Errorf("%s: there is no %s in %s", p, Path{p.steps[:i+1]}, kind(at))
		}
		at = inner
	}
	return at, nil
}

func descend(at any, step string) (any, bool) {
	switch x := at.(type) {
	case map[string]any:
		inner, ok := x[step]
		return inner, ok
	case []any:
		if i, err := strconv.ParseUint(step, 10, 31); err == nil && int(i) < len(x) {
			return x[i], true
		}
	}
	return nil, false
}

func kind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "true or false"
	case nil:
		return "null"
	}
	return "a number"
}

// Decode reads one JSON document, and nothing after it, for Number. Of a name that stands twice the last one counts.
func Decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: something follows the document")
	}
	return document, nil
}
