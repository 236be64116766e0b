package notify

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
)

// entryFields parses a datagram as systemd-journald does, and refuses what it would drop.
func entryFields(b []byte) (map[string]string, error) {
	fields := map[string]string{}
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, errors.New("no line end")
		}
		name, value, plain := bytes.Cut(line, []byte("="))
		if !plain {
			if len(rest) < 8 {
				return nil, errors.New("no length")
			}
			n := binary.LittleEndian.Uint64(rest)
			if rest = rest[8:]; n >= uint64(len(rest)) || rest[n] != '\n' {
				return nil, fmt.Errorf("%s: length %d does not fit", name, n)
			}
			value, rest = rest[:n], rest[n+1:]
		}
		if !regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`).Match(name) {
			return nil, fmt.Errorf("field name %q", name)
		}
		if _, twice := fields[string(name)]; twice {
			return nil, fmt.Errorf("field %s twice", name)
		}
		fields[string(name)], b = string(value), rest
	}
	return fields, nil
}

func TestJournald(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	journal, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	sender, err := New(&config.Notifier{Kind: "journald", Name: "log"}, Deps{JournalSocket: path})
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	m.Title = "ends here\nPRIORITY=0"
	m.Details = "first\nMESSAGE_ID=00000000000000000000000000000000\n"
	if err := sender.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	datagram := make([]byte, 256<<10)
	n, err := journal.Read(datagram)
	if err != nil {
		t.Fatal(err)
	}
	got, err := entryFields(datagram[:n])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"MESSAGE": "trigger critical: ends here PRIORITY=0", "MESSAGE_ID": JournalMessageID, "PRIORITY": "2",
		"SYSLOG_IDENTIFIER": "salve", "SALVE_KEY": m.Key, "SALVE_KIND": "trigger", "SALVE_INCIDENT": "0a",
		"SALVE_SERVICE": "checkout", "SALVE_HOST": "web-1", "SALVE_SEVERITY": "critical",
		"SALVE_TITLE": "ends here PRIORITY=0", "SALVE_SUMMARY": m.Summary, "SALVE_DETAILS": m.Details,
		"SALVE_AT": "2026-03-01T12:00:02Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	journal.Close()
	if err := sender.Send(context.Background(), m); err == nil || Classify(err).Permanent {
		t.Errorf("no journal: %v", err)
	}
}

func TestJournaldPriority(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		severity string
		want     string
	}{
		{Trigger, "critical", "2"}, {Reminder, "warning", "4"}, {Trigger, "info", "6"}, {Resolve, "critical", "5"},
	} {
		if got := priority(Message{Kind: c.kind, Severity: c.severity}); got != c.want {
			t.Errorf("%s %s: priority %s, want %s", c.kind, c.severity, got, c.want)
		}
	}
}

// exited is how a program ended.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exited) ExitCode() int { return int(e) }

func TestProgram(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want *Error
	}{
		"delivered":      {nil, nil},
		"some failure":   {exited(1), &Error{}},
		"later":          {exited(75), &Error{}},
		"usage":          {exited(64), &Error{Permanent: true}},
		"configuration":  {fmt.Errorf("run: %w", exited(78)), &Error{Permanent: true}},
		"not found":      {exited(127), &Error{Permanent: true}},
		"killed":         {exited(-1), &Error{}},
		"not allowed":    {Permanent(errors.New("not allowed")), &Error{Permanent: true}},
		"cannot be told": {context.DeadlineExceeded, &Error{}},
	} {
		t.Run(name, func(t *testing.T) {
			var argv []string
			var stdin []byte
			run := func(_ context.Context, a []string, in []byte) error {
				argv, stdin = a, in
				return c.err
			}
			n := &config.Notifier{Kind: "exec", Name: "page", Command: []string{"/usr/lib/salve/hooks/page", "-v"}}
			sender, err := New(n, Deps{Exec: run})
			if err != nil {
				t.Fatal(err)
			}
			got := Classify(sender.Send(context.Background(), sample()))
			if got != nil {
				got.Err = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var p Payload
			if err := json.Unmarshal(stdin, &p); err != nil || p.Version != 1 || p.Key != "0a/0/0" {
				t.Errorf("stdin %s: %v", stdin, err)
			}
			if diff := cmp.Diff(n.Command, argv); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := New(&config.Notifier{Kind: "exec", Name: "page", Command: []string{"/x"}}, Deps{}); err == nil {
		t.Error("accepted without a way to run programs")
	}
}

func TestProgramKilledInTheMiddleMayHaveDelivered(t *testing.T) {
	run := func(ctx context.Context, _ []string, _ []byte) error {
		<-ctx.Done()
		return exited(-1)
	}
	n := &config.Notifier{Kind: "exec", Name: "page", Command: []string{"/x"}, Timeout: time.Millisecond}
	sender, err := New(n, Deps{Exec: run})
	if err != nil {
		t.Fatal(err)
	}
	if e := Classify(sender.Send(context.Background(), sample())); e == nil || !e.Reached || e.Permanent {
		t.Errorf("got %+v", e)
	}
}
