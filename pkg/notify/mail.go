package notify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// compose writes the mail: headers in ASCII, text in quoted-printable, so that no server on the way has to change it.
func (e *email) compose(m Message) []byte {
	host := e.from.Address[strings.LastIndexByte(e.from.Address, '@')+1:]
	root := fmt.Sprintf("<%s@%s>", token(m.thread()), host)
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", e.from.String()},
		{"To", addresses(e.to)},
		{"Subject", encodeHeader(subject(m))},
		{"Date", e.now().UTC().Format(time.RFC1123Z)},
		{"Message-ID", fmt.Sprintf("<%s@%s>", token(m.Key), host)}, // the same for duplicates
		{"In-Reply-To", root},                                      // nobody sent that one; it is the thread
		{"References", root},
		{"Auto-Submitted", "auto-generated"}, // keeps holiday replies away
		{"X-Salve-Kind", encodeHeader(string(m.Kind))},
		{"X-Salve-Incident", encodeHeader(m.Incident)},
		{"X-Salve-Key", encodeHeader(m.Key)},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b) // writing to a buffer cannot fail
	_, _ = w.Write([]byte(strings.ReplaceAll(body(m), "\n", "\r\n")))
	_ = w.Close()
	return b.Bytes()
}

// subject begins with what counts most on a small screen.
func subject(m Message) string {
	label := strings.ToUpper(m.Severity)
	switch m.Kind {
	case Resolve:
		label = "RESOLVED"
	case Reminder:
		label += ", REMINDER"
	}
	return fmt.Sprintf("[%s] %s: %s", label, m.Host, m.Title)
}

func body(m Message) string {
	var b strings.Builder
	b.WriteString(m.Summary + "\n\n")
	for _, f := range [][2]string{
		{"Host", m.Host}, {"Service", m.Service}, {"Severity", m.Severity}, {"Incident", m.Incident},
		{"Written", m.At.Format(time.RFC3339)},
	} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%-9s %s\n", f[0]+":", f[1])
		}
	}
	if m.Details != "" {
		b.WriteString("\n" + m.Details + "\n")
	}
	return b.String()
}

// token makes any text fit for a Message-ID.
func token(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// encodeHeader makes one header value of any text: encoded if it is not plain ASCII, one encoded word a line, never
// a line end of its own. What looks like an encoded word already is taken apart, so that it is read as it is.
func encodeHeader(s string) string {
	s = strings.ReplaceAll(oneLine(s), "=?", "= ?")
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

func addresses(list []*mail.Address) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return strings.Join(out, ",\r\n ")
}
