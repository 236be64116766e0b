package log

import (
	"strings"
	"time"
)

const (
	mostKept = 10  // matches that are kept of each log, of all its units together
	keptText = 512 // bytes of each
)

// line is a match as it is kept: its memory is used again.
type line struct {
	at   time.Duration
	unit string
	text []byte
}

// Match is a line that matched, for the evidence of an incident.
type Match struct {
	Log  string        // name of the log
	At   time.Duration // clock.Instant.Boot
	Text string        // its first 512 bytes
	// Fields are what the named groups of the expression stand for, in its order; a group that took no part is left
	// out.
	Fields []Field
}

// Field is one named group.
type Field struct{ Name, Value string }

func (l *log) keep(at time.Duration, unit string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &l.kept[l.next%mostKept]
	k.at, k.unit, k.text = at, unit, append(k.text[:0], text[:min(len(text), keptText)]...)
	l.next++
}

// matches are the last lines of that unit, oldest first.
func (l *log) matches(unit string) []Match {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Match
	for i := max(0, l.next-mostKept); i < l.next; i++ {
		k := &l.kept[i%mostKept]
		if k.unit != unit {
			continue
		}
		m := Match{Log: l.Name, At: k.at, Text: strings.ToValidUTF8(string(k.text), "?")}
		groups := l.Match.FindStringSubmatchIndex(m.Text) // none, when what matched lies behind the part that is kept
		for g, name := range l.Match.SubexpNames() {
			if name != "" && groups != nil && groups[2*g] >= 0 {
				m.Fields = append(m.Fields, Field{Name: name, Value: m.Text[groups[2*g]:groups[2*g+1]]})
			}
		}
		found = append(found, m)
	}
	return found
}
