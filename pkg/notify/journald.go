package notify

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
)

// JournalMessageID is the MESSAGE_ID of every entry that the journald notifier writes.
const JournalMessageID = "d1c7a6a0b4f94b5f8f3f3a5d2c9e7b61"

// journalSocket is where systemd's journal listens.
const journalSocket = "/run/systemd/journal/socket"

// journald writes an entry with fields of its own, for those who filter the journal (journalctl SALVE_KIND=trigger).
type journald struct{ socket string }

func newJournald(d Deps) *journald {
	if d.JournalSocket == "" {
		d.JournalSocket = journalSocket
	}
	return &journald{d.JournalSocket}
}

func (j *journald) Send(ctx context.Context, m Message) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", j.socket)
	if err != nil {
		return fmt.Errorf("reach journal of systemd: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetWriteDeadline(deadline); err != nil {
			return fmt.Errorf("reach journal of systemd: %w", err)
		}
	}
	if _, err := conn.Write(entry(m)); err != nil {
		return fmt.Errorf("write to journal of systemd: %w", err)
	}
	return nil
}

// entry is the message in the journal's native protocol. The bounds of a message keep it far below the size of a
// datagram.
func entry(m Message) []byte {
	var b bytes.Buffer
	for _, f := range [][2]string{
		{"MESSAGE", fmt.Sprintf("%s %s: %s", m.Kind, m.Severity, m.Title)},
		{"MESSAGE_ID", JournalMessageID},
		{"PRIORITY", priority(m)},
		{"SYSLOG_IDENTIFIER", "salve"},
		{"SALVE_KEY", m.Key},
		{"SALVE_KIND", string(m.Kind)},
		{"SALVE_INCIDENT", m.Incident},
		{"SALVE_SERVICE", m.Service},
		{"SALVE_HOST", m.Host},
		{"SALVE_SEVERITY", m.Severity},
		{"SALVE_TITLE", m.Title},
		{"SALVE_SUMMARY", m.Summary},
		{"SALVE_DETAILS", m.Details},
		{"SALVE_AT", m.At.UTC().Format(time.RFC3339Nano)},
	} {
		field(&b, f[0], f[1])
	}
	return b.Bytes()
}

// field appends one field; a value of several lines goes with its length, so that it cannot end early.
func field(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	if !strings.Contains(value, "\n") {
		b.WriteString("=" + value + "\n")
		return
	}
	b.WriteByte('\n')
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	b.WriteString(value + "\n")
}

// priority is syslog's.
func priority(m Message) string {
	switch {
	case m.Kind == Resolve:
		return "5"
	case m.Severity == "critical":
		return "2"
	case m.Severity == "info":
		return "6"
	}
	return "4"
}
