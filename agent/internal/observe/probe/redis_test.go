package probe

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
)

// file writes a file of the test.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRealRedis(t *testing.T) {
	r := agenttest.Redis(t)
	password, wrong := file(t, r.Password+"\n"), file(t, "guess")
	for _, tt := range []struct {
		name   string
		target Target
		err    string // "": good
	}{
		{"default user", Target{PasswordFile: password}, ""},
		{"a user who may do nothing else", Target{User: r.User, PasswordFile: password}, ""},
		{"no password", Target{}, "NOAUTH"},
		{"wrong password", Target{PasswordFile: wrong}, "log in: refused: \"WRONGPASS"},
		{"no such user", Target{User: "nobody", PasswordFile: password}, "WRONGPASS"},
		{"no password file", Target{PasswordFile: "/does/not/exist"}, "no such file"},
	} {
		tt.target.Redis, tt.target.Timeout = r.Address, 5*time.Second
		h := newAsked(t, tt.target)
		for range 2 {
			got := h.ask(false)
			if (got.err == nil) != (tt.err == "") || got.err != nil && !strings.Contains(got.err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, got.err, tt.err)
			}
			if (h.idle != nil) != (tt.err == "") {
				t.Errorf("%s: a connection is kept: %v", tt.name, h.idle != nil)
			}
		}
	}
}

// A Redis that hangs misses, one that comes back is asked anew, and one that is gone says so.
func TestRealRedisHangs(t *testing.T) {
	r := agenttest.Redis(t)
	h := newAsked(t, Target{Redis: r.Address, PasswordFile: file(t, r.Password)})
	patience := h.timeout
	if got := h.ask(false); got.err != nil || got.latency <= 0 {
		t.Fatalf("%+v", got)
	}
	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	h.timeout = 100 * time.Millisecond
	for _, fresh := range []bool{false, true} {
		if got := h.ask(fresh); !timedOut(got.err) || got.answered {
			t.Errorf("frozen, fresh %v: %+v", fresh, got)
		}
	}
	if err := r.Thaw(); err != nil {
		t.Fatal(err)
	}
	h.timeout = patience
	agenttest.Eventually(t, func() bool { return h.ask(false).err == nil }, "answers again")
	r.Stop()
	if got := h.ask(false); got.err == nil || timedOut(got.err) {
		t.Errorf("gone: %+v", got)
	}
}

// rawRedis is a server that answers whatever comes with the same bytes, and hangs up.
func rawRedis(t testing.TB, answers ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			for _, a := range answers {
				for { // a command ends with its last word, which has no $ before it
					line, err := in.ReadString('\n')
					if err != nil || line == "PING\r\n" || line == "hush\r\n" {
						break
					}
				}
				_, _ = io.WriteString(c, a)
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func TestRedisAnswers(t *testing.T) {
	for _, tt := range []struct {
		answer, err string
		answered    bool
	}{
		{"+PONG\r\n", "", true},
		{"+PONG\r\n+PONG\r\n", "", true},
		{"-LOADING Redis is loading\r\n", `refused: "LOADING`, true},
		{"-\x1b[2J\r\n", `refused: "\x1b[2J"`, true},
		{"+PANG\r\n", "unexpected answer", true},
		{"$4\r\nPONG\r\n", `refused: "$4"`, true},
		{"+PONG", "EOF", false},
		{"+PONG\n", `refused: "+PONG\n"`, true},
		{"", "EOF", false},
		{"+" + strings.Repeat("x", 1<<20), "", false},
	} {
		got := newAsked(t, Target{Redis: rawRedis(t, tt.answer), Timeout: 5 * time.Second}).ask(false)
		if got.answered != tt.answered || tt.answered && (got.err == nil) != (tt.err == "") ||
			got.err != nil && (!strings.Contains(got.err.Error(), tt.err) || len(got.err.Error()) > 300) {
			t.Errorf("%.20q: %+v", tt.answer, got)
		}
	}
	target := Target{Redis: rawRedis(t, "+NO\r\n"), PasswordFile: file(t, "hush"), Timeout: 5 * time.Second}
	got := newAsked(t, target).ask(false)
	if got.err == nil || !strings.Contains(got.err.Error(), "log in: unexpected answer") {
		t.Errorf("a login that is not granted: %+v", got)
	}
	target.Redis = rawRedis(t, "-ERR unknown command 'AUTH', with args beginning with: 'hush' \r\n")
	got = newAsked(t, target).ask(false)
	if got.err == nil || got.err.Error() != `log in: refused: "ERR"` {
		t.Errorf("a server that says the password again: %+v", got)
	}
}

func FuzzRedisAnswer(f *testing.F) {
	for _, text := range []string{"+PONG\r\n", "-ERR no\r\n", "$-1\r\n", "*0\r\n", ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		client, server := net.Pipe()
		go func() {
			_, _ = server.Read(make([]byte, 64))
			_, _ = server.Write(b)
			_ = server.Close()
		}()
		c := newConn(client)
		defer c.Close()
		got, _ := redisProtocol{}.exchange(t.Context(), c, time.Now().Add(5*time.Second))
		if (got.err == nil) != strings.HasPrefix(string(b), "+PONG\r\n") {
			t.Errorf("%+v", got)
		}
	})
}
