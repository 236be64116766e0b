package promql

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lookback is how old a sample may be that Prometheus takes for the present value of a series, unless it was started with
// another --query.lookback-delta.
const Lookback = 5 * time.Minute

// Reach is how old the oldest sample may be that the answer to an expression rests on. A range reaches back as far as it
// says, a selector without one as far as Lookback, ranges of subqueries and offsets add to what is within them:
//
//	rate(errors_total[1m])                     1m
//	queue_depth                                5m
//	last_over_time(queue_depth[30s])           30s
//	max_over_time(rate(errors_total[1m])[10m:]) 11m
//
// It is not checked whether the server would take the expression. What Reach cannot follow is an error: then somebody has
// to say it.
func Reach(expr string) (time.Duration, error) {
	s := &scanner{rest: expr, groups: []time.Duration{0}}
	for s.space(); s.rest != ""; s.space() {
		if err := s.step(); err != nil {
			return 0, fmt.Errorf("character %d: %w", len(expr)-len(s.rest)+1, err)
		}
	}
	s.settle()
	if len(s.groups) > 1 {
		return 0, errors.New("a ) is missing")
	}
	return s.groups[0], nil
}

// scanner reads an expression from left to right.
type scanner struct {
	rest    string
	groups  []time.Duration // the farthest reach within each ( that is open, and within the whole
	operand time.Duration   // reach of what was read last
	bare    bool            // which is a selector without a range so far
}

// settle is for the end of an operand.
func (s *scanner) settle() {
	top := &s.groups[len(s.groups)-1]
	*top = max(*top, s.operand)
	s.operand, s.bare = 0, false
}

func (s *scanner) space() {
	for {
		s.rest = strings.TrimLeft(s.rest, " \t\r\n")
		if !strings.HasPrefix(s.rest, "#") {
			return
		}
		_, s.rest, _ = strings.Cut(s.rest, "\n")
	}
}

// step reads one token.
func (s *scanner) step() error {
	switch c := s.rest[0]; c {
	case '(':
		s.settle()
		s.groups = append(s.groups, 0)
	case ')':
		s.settle()
		last := len(s.groups) - 1
		if last == 0 {
			return errors.New("no ( belongs to this )")
		}
		s.operand, s.groups = s.groups[last], s.groups[:last]
	case '[':
		return s.span()
	case '{':
		s.selector()
		return s.until('}')
	case '"', '\'', '`':
		return s.quoted()
	case '@':
		return errors.New("@ asks about a moment of its own")
	default:
		if word := s.word(); word != "" {
			return s.name(word)
		}
		s.settle()
	}
	s.rest = s.rest[1:]
	return nil
}

// selector begins one that has no range so far.
func (s *scanner) selector() {
	if !s.bare { // the name that stands before the braces has begun it
		s.settle()
	}
	s.operand, s.bare = Lookback, true
}

// span reads [5m] or [5m:1m].
func (s *scanner) span() error {
	text, rest, found := strings.Cut(s.rest[1:], "]")
	if !found {
		return errors.New("a ] is missing")
	}
	text, _, subquery := strings.Cut(text, ":")
	d, err := parse(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	if s.bare && !subquery {
		s.operand = 0
	}
	s.operand, s.bare, s.rest = s.operand+d, false, rest
	return nil
}

// until passes over everything up to that character, which may stand within quotes.
func (s *scanner) until(end byte) error {
	for s.rest = s.rest[1:]; s.rest != ""; {
		switch c := s.rest[0]; c {
		case end:
			s.rest = s.rest[1:]
			return nil
		case '"', '\'', '`':
			if err := s.quoted(); err != nil {
				return err
			}
		default:
			s.rest = s.rest[1:]
		}
	}
	return fmt.Errorf("a %c is missing", end)
}

// quoted passes over a text.
func (s *scanner) quoted() error {
	quote := s.rest[0]
	for i := 1; i < len(s.rest); i++ {
		switch {
		case s.rest[i] == quote:
			s.rest = s.rest[i+1:]
			return nil
		case s.rest[i] == '\\' && quote != '`':
			i++
		}
	}
	return fmt.Errorf("a %c is missing", quote)
}

// word is the name, number or duration that comes next; "" if none does.
func (s *scanner) word() string {
	end := strings.IndexFunc(s.rest, func(r rune) bool {
		return r != '_' && r != ':' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		end = len(s.rest)
	}
	return s.rest[:end]
}

var (
	// lists are the words after which labels may be listed.
	lists = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	// operators are the words that stand between operands.
	operators = []string{"and", "or", "unless", "atan2", "bool"}
	// numbers are the words that are some.
	numbers = []string{"inf", "nan"}
)

// name reads a word, and what makes one thing with it.
func (s *scanner) name(word string) error {
	s.rest = s.rest[len(word):]
	s.space()
	lower, next := strings.ToLower(word), strings.ToLower(s.word())
	list := strings.HasPrefix(s.rest, "(")
	switch {
	case word[0] >= '0' && word[0] <= '9' || word[0] == '.', slices.Contains(operators, lower), slices.Contains(numbers, lower):
		s.settle()
	case lower == "offset":
		return s.offset()
	case slices.Contains(lists, lower) && list:
		return s.until(')')
	case slices.Contains(lists, lower):
	case list, next == "by", next == "without": // a function
		s.settle()
	default:
		s.settle()
		s.selector()
	}
	return nil
}

// offset reads how far one is.
func (s *scanner) offset() error {
	rest, ahead := strings.CutPrefix(s.rest, "-")
	s.rest = rest
	s.space()
	word := s.word()
	d, err := parse(word)
	if err != nil {
		return err
	}
	s.rest = s.rest[len(word):]
	if !ahead {
		s.operand += d
	}
	return nil
}

// unit is one of durations.
type unit struct {
	name string
	d    time.Duration
}

// units have longer names first.
var units = []unit{
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour},
	{"w", 7 * 24 * time.Hour}, {"y", 365 * 24 * time.Hour},
}

// farthest is longer than any server keeps samples of which a decision is made.
const farthest = 2 * 365 * 24 * time.Hour

// parse reads a duration such as 1h30m.
func parse(text string) (total time.Duration, err error) {
	wrong := fmt.Errorf("%.40q is no duration of up to two years", text)
	for rest := text; rest != "" || text == ""; {
		digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if digits <= 0 {
			return 0, wrong
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		i := slices.IndexFunc(units, func(u unit) bool { return strings.HasPrefix(rest[digits:], u.name) })
		if err != nil || i < 0 || n > int64(farthest/units[i].d) {
			return 0, wrong
		}
		if total += time.Duration(n) * units[i].d; total > farthest {
			return 0, wrong
		}
		rest = rest[digits+len(units[i].name):]
	}
	return total, nil
}
