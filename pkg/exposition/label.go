package exposition

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/salveops/salve/pkg/metric"
)

// maxLabels bounds the labels of one series.
const maxLabels = 64

// Labels reads the labels of Sample.Series. It fails for what is no list of labels, for a name that is
// there twice, for text that is not UTF-8, and for more than 64 of them.
func Labels(series []byte) ([]metric.Label, error) {
	var list []metric.Label
	rest := blank(series[name(series, true):])
	if len(rest) == 0 {
		return nil, nil
	}
	rest = blank(rest[1:])
	for rest[0] != '}' {
		l, after, err := label(rest)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if other.Name == l.Name {
				return nil, fmt.Errorf("the label %s is there twice", l.Name)
			}
		}
		if list = append(list, l); len(list) > maxLabels {
			return nil, fmt.Errorf("more than %d labels", maxLabels)
		}
		if rest = blank(after); rest[0] == ',' {
			rest = blank(rest[1:])
		} else if rest[0] != '}' {
			return nil, fmt.Errorf("a comma is missing after the label %s", l.Name)
		}
	}
	return list, nil
}

// label cuts a label off b, in which a closing brace is known to come.
func label(b []byte) (l metric.Label, rest []byte, err error) {
	n := name(b, false)
	l.Name = string(b[:n])
	if rest = blank(b[n:]); n == 0 || rest[0] != '=' {
		return l, nil, errors.New("a label is written name=\"value\"")
	}
	if rest = blank(rest[1:]); rest[0] != '"' {
		return l, nil, fmt.Errorf("the value of the label %s has no quotes", l.Name)
	}
	end := quoted(rest[1:])
	l.Value, err = unescape(rest[1 : end+1])
	if err != nil {
		return l, nil, fmt.Errorf("the value of the label %s %w", l.Name, err)
	}
	return l, rest[end+2:], nil
}

func unescape(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", errors.New("is not UTF-8")
	}
	var s strings.Builder
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' {
			i++
			switch c = b[i]; c {
			case 'n':
				c = '\n'
			case '\\', '"':
			default:
				return "", fmt.Errorf("has an unknown escape, \\%c", c)
			}
		}
		s.WriteByte(c)
	}
	return s.String(), nil
}
