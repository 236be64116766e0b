package exec

import (
	"strings"
	"unicode"

	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/secret"
)

// most is how many bytes a record keeps of an output.
const most = 4 << 10

// evidence is what the program said.
type evidence struct {
	Code      int    `json:"code"`
	Stdout    string `json:"stdout,omitempty"`
	Stderr    string `json:"stderr,omitempty"`
	Truncated bool   `json:"truncated,omitempty"` // there was more of it
}

func evidenceOf(out program.Output) evidence {
	stdout, cut1 := text(out.Stdout)
	stderr, cut2 := text(out.Stderr)
	return evidence{Code: out.Code, Stdout: stdout, Stderr: stderr, Truncated: out.Truncated || cut1 || cut2}
}

// text is what a record keeps of an output: its beginning, without secrets and without what could steer a terminal. Secrets
// are looked for before it is cut, because half of one looks like none.
func text(b []byte) (kept string, cut bool) {
	s := secret.Redact(strings.ToValidUTF8(string(b), "?"))
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return '?'
	}, s)
	return strings.ToValidUTF8(s[:min(most, len(s))], ""), len(s) > most
}

// last is the last line of what it said, of its errors first.
func (e evidence) last() string {
	for _, s := range []string{e.Stderr, e.Stdout} {
		if s = strings.TrimSpace(s); s != "" {
			return s[strings.LastIndexByte(s, '\n')+1:]
		}
	}
	return "it said nothing"
}
