package cache

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/kind"
)

func TestParseItem(t *testing.T) {
	for _, tt := range []struct {
		line    string
		want    item
		removal string
	}{
		{"key=sess%3A0 exp=-1 la=1795826927 cas=12 fetch=no cls=1 size=68", item{"sess:0", 12}, "md sess:0 C12\r\n"},
		{"key=a exp=-1 cas=0", item{"a", 0}, "md a\r\n"},
		{"key=a+b%20c", item{"a+b c", 0}, "md YStiIGM= b\r\n"},
		{"key=%0D%0Aflush_all cas=7", item{"\r\nflush_all", 7}, "md DQpmbHVzaF9hbGw= b C7\r\n"},
		{"key=" + strings.Repeat("x", 250), item{strings.Repeat("x", 250), 0}, "md " + strings.Repeat("x", 250) + "\r\n"},
		{"key=%20" + strings.Repeat("x", 200), item{" " + strings.Repeat("x", 200), 0}, ""}, // has no short name
	} {
		got, err := parseItem(tt.line)
		if err != nil || got != tt.want || got.removal() != tt.removal {
			t.Errorf("%.40q: %+v, %q, %v", tt.line, got, got.removal(), err)
		}
	}
	for _, line := range []string{"", "key=", "exp=1", "key=%zz", "key=a cas=-1", "key=a cas=x"} {
		if got, err := parseItem(line); err == nil {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}

// Whatever a server says, what is sent to it is the one command, in one line, and no longer than it takes.
func FuzzParseItem(f *testing.F) {
	f.Add("key=sess%3A0 exp=-1 la=1795826927 cas=1 fetch=no cls=1 size=68")
	f.Add("key=%0D%0Aflush_all cas=7")
	f.Fuzz(func(t *testing.T, line string) {
		i, err := parseItem(line)
		if err != nil {
			return
		}
		command, ends := strings.CutSuffix(i.removal(), "\r\n")
		if command == "" {
			return
		}
		words := strings.Split(command, " ")
		if !ends || words[0] != "md" || len(words) < 2 || len(words) > 4 || len(words[1]) > longestKey ||
			strings.ContainsAny(command, "\r\n\x00\t\x7f") {
			t.Errorf("%q is removed by %q", line, i.removal())
		}
	})
}

// A key that was stored anew after the look stays: what is in it now is not what was to go.
func TestStoredAnew(t *testing.T) {
	m := agenttest.Memcached(t)
	c, err := dial(t.Context(), m.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	set := func(key string) {
		t.Helper()
		if err := c.one(t.Context(), "set "+key+" 0 0 1\r\nx", "STORED"); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"a", "b", "c", "other"} {
		set(key)
	}
	found, whole, err := find(t.Context(), m.Address, "", 10)
	if err != nil || !whole || len(found) != 4 {
		t.Fatalf("%v, %v, %v", found, whole, err)
	}
	set("b")
	if n, err := c.remove(t.Context(), append(found, item{key: "never"})); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if found, _, err = find(t.Context(), m.Address, "", 10); err != nil || len(found) != 1 || found[0].key != "b" {
		t.Errorf("left is %v, %v", found, err)
	}
	set("c")
	if found, whole, err = find(t.Context(), m.Address, "", 1); err != nil || whole || len(found) != 1 {
		t.Errorf("one at most: %v, %v, %v", found, whole, err)
	}
}

// says is a memcached that answers each connection by the next text, and then says no more.
func says(t *testing.T, answers ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, a := range answers {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write([]byte(a))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "unix:" + path
}

// A look that the server takes itself is waited for; a dump that is cut short, or none, names nothing.
func TestDump(t *testing.T) {
	at := says(t, "BUSY currently processing crawler request\r\n", "key=a cas=1\nEND\r\n")
	if found, whole, err := find(t.Context(), at, "", 10); err != nil || !whole || len(found) != 1 {
		t.Errorf("after another look: %v, %v, %v", found, whole, err)
	}
	for _, answer := range []string{
		"key=a cas=1\n", "ERROR\r\n", "CLIENT_ERROR lru crawler disabled\r\n", "key=a cas=1\nkey=%zz\nEND\r\n",
		"key=" + strings.Repeat("a", longestLine) + "\nEND\r\n", "",
	} {
		if found, _, err := find(t.Context(), says(t, answer), "", 10); err == nil || found != nil {
			t.Errorf("%.40q: %v, %v", answer, found, err)
		}
	}
}

// What is refused removes nothing; of what is not answered nobody knows.
func TestRemoveItems(t *testing.T) {
	for answers, want := range map[string]struct {
		removed int
		text    string
		lost    bool
	}{
		"HD\r\nNF\r\nHD\r\n":                    {2, "", false},
		"HD\r\nSERVER_ERROR memory\r\nHD\r\n":   {2, `refused: "SERVER_ERROR memory"`, false},
		"HD\r\nHD\r\n":                          {2, "EOF", true},
		"HD\r\n" + strings.Repeat("a", 5000):    {1, "full", true},
		"ERROR\r\nERROR\r\nERROR\r\n":           {0, `refused: "ERROR"`, false},
		"EX\r\nEX\r\nEX\r\nwhat nobody asked\n": {0, "", false},
	} {
		c, err := dial(t.Context(), says(t, answers))
		if err != nil {
			t.Fatal(err)
		}
		n, err := c.remove(t.Context(), []item{{"a", 1}, {"b", 2}, {"c", 3}})
		if n != want.removed || (err == nil) != (want.text == "") || err != nil && !strings.Contains(err.Error(), want.text) ||
			errors.Is(err, kind.ErrLost) != want.lost {
			t.Errorf("%.60q: %d, %v", answers, n, err)
		}
		c.Close()
	}
	for answer, lost := range map[string]bool{"ERROR\r\n": false, "": true} {
		c, err := dial(t.Context(), says(t, answer))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.flush(t.Context()); err == nil || errors.Is(err, kind.ErrLost) != lost {
			t.Errorf("%q: %v", answer, err)
		}
		c.Close()
	}
}

// Counts of another server are none.
func TestStats(t *testing.T) {
	for _, answer := range []string{"END\r\n", "STAT pid x\r\nEND\r\n", "STAT pid 1\r\nEND\r\n", "-ERR unknown command\r\n", "STAT pid 1\r\n"} {
		m := items{Address: says(t, answer)}
		if now, err := m.now(t.Context()); err == nil {
			t.Errorf("%q: %+v", answer, now)
		}
	}
}
