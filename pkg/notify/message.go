// Package notify brings one message about one incident to people: by e-mail, webhook, PagerDuty, Slack, Alertmanager,
// program, or the journal of systemd. It sends once and says how it went; whoever calls decides about retries.
package notify

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is what a message is about.
type Kind string

// Kinds of messages.
const (
	Trigger  Kind = "trigger"  // an incident needs a person
	Reminder Kind = "reminder" // it still does
	Resolve  Kind = "resolve"  // it ended
)

// Message is one message. Texts are for people; they may hold what services wrote to their logs.
type Message struct {
	Key      string    `json:"key"`      // names the message for ever; duplicates share it
	Kind     Kind      `json:"kind"`     //
	Incident string    `json:"incident"` // 32 hex digits
	Service  string    `json:"service"`  // "" if the incident is about the host
	Host     string    `json:"host"`     // name of the host
	Severity string    `json:"severity"` // "info", "warning", "critical"
	Title    string    `json:"title"`    // one line
	Summary  string    `json:"summary"`  // a few lines: what, since when, what was tried
	Details  string    `json:"details"`  // timeline and evidence
	At       time.Time `json:"at"`       // when it was written

	// Dedup is what places that keep one alert per incident call it by; "": Incident. It is another name when somebody
	// paged under a key of his own before the incident was known. The same in all messages of the incident.
	Dedup string `json:"dedup,omitempty"`
}

// thread is what all messages of the incident have in common. A message about no incident stands for itself.
func (m Message) thread() string { return cmp.Or(m.Dedup, m.Incident, m.Key) }

// Bounds of the texts in bytes.
const (
	MaxTitle   = 200
	MaxSummary = 4 << 10
	MaxDetails = 32 << 10
)

// Bounded returns the message as every place can take it: valid UTF-8, without control characters, names and
// title in one line, texts cut to their bounds. It is idempotent.
func (m Message) Bounded() Message {
	for _, s := range []*string{&m.Key, &m.Incident, &m.Dedup, &m.Service, &m.Host, &m.Severity, &m.Title} {
		*s = clip(oneLine(*s), MaxTitle)
	}
	m.Summary = clip(clean(m.Summary), MaxSummary)
	m.Details = clip(clean(m.Details), MaxDetails)
	return m
}

// clipped ends a text that was cut.
const clipped = " […]"

// clip cuts s to at most size bytes, between two characters.
func clip(s string, size int) string {
	if len(s) <= size {
		return s
	}
	s = s[:size-len(clipped)]
	for len(s) > 0 {
		if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s + clipped
}

// clean removes what is not text. Line ends become "\n".
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r == '\r':
			return '\n'
		case !unicode.IsPrint(r) && !unicode.IsSpace(r):
			return '�'
		}
		return r
	}, s)
}

// oneLine is clean without line ends and tabs.
func oneLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }
