package cache_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// mem is a runner that needs no manager, with a real memcached.
type mem struct {
	*rig
	memcached *agenttest.MemcachedServer
}

func newMem(t *testing.T, args ...string) *mem {
	t.Helper()
	server := agenttest.Memcached(t, args...)
	m := &mem{on(t, &config.Cache{Name: "sessions", Memcached: server.Address}), server}
	m.args.Prefix = "sess:"
	return m
}

// ask gives all lines of an answer as far as the one that begins with one of last.
func (m *mem) ask(commands string, last ...string) (lines []string) {
	m.T.Helper()
	c, err := net.Dial("unix", strings.TrimPrefix(m.memcached.Address, "unix:"))
	m.must(err)
	defer c.Close()
	m.must(c.SetDeadline(time.Now().Add(10 * time.Second)))
	_, err = c.Write([]byte(commands))
	m.must(err)
	in := bufio.NewScanner(c)
	for in.Scan() {
		lines = append(lines, in.Text())
		if word, _, _ := strings.Cut(in.Text(), " "); slices.Contains(last, word) {
			return lines
		}
	}
	m.T.Fatalf("%.40q is answered by %q", commands, lines)
	return nil
}

// put stores a value by each key.
func (m *mem) put(keys ...string) {
	m.T.Helper()
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, "ms %s 3 b q\r\nabc\r\n", base64.StdEncoding.EncodeToString([]byte(key)))
	}
	m.ask(b.String()+"mn\r\n", "MN")
}

func (m *mem) fill(name string, n int) {
	m.T.Helper()
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint(name, i))
	}
	m.put(keys...)
}

var line = regexp.MustCompile(`^key=(\S+) exp=(\S+) la=\S+ (cas=\S+) fetch=\S+ (cls=.*)$`)

// all are the keys that there are, as they stand in a dump, with all that says whether they are as they were.
func (m *mem) all() map[string]string {
	m.T.Helper()
	var dump []string
	agenttest.Eventually(m.T, func() bool { // one look at a time
		dump = m.ask("lru_crawler metadump all\r\n", "END", "BUSY")
		return dump[len(dump)-1] == "END"
	}, "a look at all keys")
	found := map[string]string{}
	for _, text := range dump {
		if f := line.FindStringSubmatch(text); f != nil {
			found[f[1]] = strings.Join(f[2:], " ")
		}
	}
	return found
}

// but are those that do not begin with the text.
func but(all map[string]string, beginning string) map[string]string {
	found := map[string]string{}
	for key, what := range all {
		if !strings.HasPrefix(key, beginning) {
			found[key] = what
		}
	}
	return found
}

func (m *mem) count() int { return len(m.all()) }

func TestItems(t *testing.T) {
	for name, args := range map[string][]string{"with CAS": nil, "without": {"-C"}} {
		t.Run(name, func(t *testing.T) {
			m := newMem(t, args...)
			m.fill("sess:", 250)
			m.fill("cart:", 20)
			m.fill("cart:sess:", 3)
			long := strings.Repeat("x", 245)
			m.put("sess: \r\nflush_all\r\n", "sess:\x7f", "session", "Sess:1")
			m.ask("set sess:"+long+" 0 0 3\r\nabc\r\nset sess!"+long+" 0 0 3\r\nabc\r\nget sess:1\r\nget nothing\r\nmn\r\n", "MN")
			before := m.all()
			p, err := m.Runner.Prepare(t.Context(), m.request())
			m.must(err)
			if !p.Disruptive || !p.Shared || len(p.Detail) != 1 || !strings.Contains(p.Detail[0], "279 keys") ||
				!strings.Contains(p.Detail[0], "50 % of 2 look-ups") {
				t.Errorf("plan %+v", p)
			}
			if diff := gocmp.Diff(before, m.all()); diff != "" {
				t.Errorf("a plan changed something: %s", diff)
			}
			a := m.Must(m.request())
			if diff := gocmp.Diff(but(before, "sess%3A"), m.all()); diff != "" {
				t.Error(diff)
			}
			was, is := m.read(a.Before), m.read(a.After)
			if was.Keys != 279 || is.Keys != 26 || is.Removed != 253 || is.End != "every key was looked at" || was.Hits != 1 || was.Misses != 1 {
				t.Errorf("evidence before %+v, after %+v", was, is)
			}
			if strings.Contains(string(a.Before)+string(a.After), "sess:") {
				t.Errorf("a key is in the evidence: %s", a.After)
			}
			if is := m.read(m.Must(m.request()).After); is.Removed != 0 { // once more, now that there is nothing of it
				t.Errorf("the second run removed something: %+v", is)
			}
		})
	}
}

func TestAllItems(t *testing.T) {
	m := newMem(t)
	m.args.Prefix, m.args.All = "", true
	m.Refused(m.request(), "has no keys", false)
	m.fill("a", 40)
	m.args.Most = 25
	if is := m.read(m.Must(m.request()).After); is.Removed != 25 || m.count() != 15 || !strings.Contains(is.End, "as many keys were removed") {
		t.Errorf("%+v", is)
	}
	m.args.Most = 1000
	m.Must(m.request())
	m.fill("a", 20)
	m.args.AtOnce, m.args.Most = true, 19
	m.Refused(m.request(), "has 20 keys, more than the 19", false)
	m.args.Most = 20
	if is := m.read(m.Must(m.request()).After); m.count() != 0 || is.End != "all was flushed" {
		t.Errorf("%d are left: %+v", m.count(), is)
	}
}

// cold-cache: what stands behind gets no more to do than the rate allows, and no more in one run than its time allows.
func TestColdCacheOfItems(t *testing.T) {
	m := newMem(t)
	m.fill("sess:", 60)
	m.args.Rate, m.args.Most = 100, 15
	began := time.Now()
	m.Must(m.request())
	if took := time.Since(began); took < 90*time.Millisecond || m.count() != 45 { // the last five need no rest
		t.Errorf("15 keys at 100 a second took %s; %d are left", took, m.count())
	}
	m.args.Rate, m.args.Most = 1, 1000
	q := m.request()
	q.Remedy.Timeout = 3 * time.Second // a key at once, and two more, the last a second before the end
	a, err := m.Run(q)
	if is := m.read(a.After); err != nil || a.Error != "" || !strings.Contains(is.End, "time of one run") || is.Removed > 3 {
		t.Errorf("a run of 3 s at one a second: %s, %v, %+v", a.Error, err, is)
	}
}

// A server that nobody gets into, that is none, that hangs, or that is gone loses nothing.
func TestItemsAreLeftAlone(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("salve:hush\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	closed := newMem(t, "-Y", users)
	closed.Refused(closed.request(), `refused: "CLIENT_ERROR unauthenticated"`, true)

	m := newMem(t)
	m.fill("sess:", 20)
	before := m.all()
	s, _ := acttest.Stage(t, m.kind, m.request())
	m.cache.Memcached = agenttest.Redis(t).Address
	m.Refused(m.request(), "cannot be known now: ask memcached: refused", true)
	m.cache.Memcached = m.memcached.Address
	m.must(m.memcached.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := m.kind.Act(ctx, s); err == nil {
		t.Error("a frozen server was cleared")
	}
	m.must(m.memcached.Thaw())
	if diff := gocmp.Diff(before, m.all()); diff != "" {
		t.Error(diff)
	}
	m.memcached.Stop()
	m.Refused(m.request(), "cannot be known now: connect", true)
	if err := m.kind.Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("a server that is down: %v", err)
	}
}

// Gone in the middle: the run ends, and says how far it came.
func TestItemsBreakOff(t *testing.T) {
	m := newMem(t)
	m.fill("sess:", 200)
	m.args.Rate = 10 // so that they last for 20 s
	s, a := acttest.Stage(t, m.kind, m.request())
	done := make(chan error, 1)
	go func() { done <- m.kind.Act(t.Context(), s) }()
	agenttest.Eventually(t, func() bool { return m.count() < 200 }, "the first keys are gone")
	if phase, why := m.kind.Settle(t.Context(), a); phase != incident.Acted || !strings.Contains(why, "of 200 keys") {
		t.Errorf("in the middle: %s, %s", phase, why)
	}
	m.memcached.Stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "keys were removed") {
		t.Errorf("gone in the middle: %v", err)
	}
	if phase, why := m.kind.Settle(t.Context(), a); phase != incident.Unknown {
		t.Errorf("gone: %s, %s", phase, why)
	}
}

// dies-in-the-middle: the counters of the server tell, as long as it lives.
func TestItemsAreSettled(t *testing.T) {
	m := newMem(t)
	m.fill("sess:", 20)
	s, a := acttest.Stage(t, m.kind, m.request())
	m.settles(a, "before", incident.NotDone)
	m.must(m.kind.Act(t.Context(), s))
	m.settles(a, "after", incident.Acted)
	m.fill("cart:", 50)
	m.settles(a, "after, with other keys since", incident.Unknown)
	m.args.Prefix, m.args.All, m.args.AtOnce = "", true, true
	s, a = acttest.Stage(t, m.kind, m.request())
	m.settles(a, "before, at once", incident.NotDone)
	m.must(m.kind.Act(t.Context(), s))
	m.settles(a, "after, at once", incident.Acted)
	m.ask("stats reset\r\n", "RESET")
	m.settles(a, "counters from zero", incident.Unknown)
}
