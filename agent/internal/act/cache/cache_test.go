package cache_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/cache"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/redis"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// rig is a runner that needs no manager, with a real Redis.
type rig struct {
	*acttest.Rig
	server *agenttest.RedisServer
	cache  *config.Cache
	args   *remedy.CacheArgs
	kind   cache.Kind
}

func newRig(t *testing.T, lines ...string) *rig {
	t.Helper()
	server := agenttest.Redis(t, lines...)
	password := filepath.Join(t.TempDir(), "password")
	g := on(t, &config.Cache{Name: "sessions", Redis: server.Address, PasswordFile: password})
	g.server, g.args.Prefix = server, "sess:"
	g.must(os.WriteFile(password, []byte(g.server.Password), 0o600))
	return g
}

// on is a rig for this cache, without a Redis.
func on(t *testing.T, c *config.Cache) *rig {
	t.Helper()
	g := &rig{cache: c, kind: cache.New(&kind.Host{Clock: acttest.Clock(t)})}
	g.args = &remedy.CacheArgs{Cache: c.Name, Rate: 100_000, Most: 1000}
	g.Rig = &acttest.Rig{T: t, Watcher: acttest.IdleWatcher(t), Journal: acttest.OpenJournal(t, t.TempDir())}
	g.Runner = g.NewRunner([]config.Allow{{Caches: []string{"s*"}, Actions: []string{"clear_cache"}}})
	return g
}

// settles expects what an agent finds out that died.
func (g *rig) settles(a *incident.Attempt, when string, want incident.Phase) {
	g.T.Helper()
	if phase, why := g.kind.Settle(g.T.Context(), a); phase != want {
		g.T.Errorf("%s: %s, %s", when, phase, why)
	}
}

func (g *rig) must(err error) {
	g.T.Helper()
	if err != nil {
		g.T.Fatal(err)
	}
}

func (g *rig) request() kind.Request {
	q := acttest.Ask(remedy.ClearCache, "", g.args)
	q.Remedy.Service = &config.Service{Caches: []*config.Cache{g.cache}}
	return q
}

// ask asks the server as its owner, in one of the databases.
func (g *rig) ask(database int, words ...string) redis.Value {
	g.T.Helper()
	c, err := redis.Connect(g.T.Context(), redis.Target{Address: g.server.Address, Database: database, PasswordFile: g.cache.PasswordFile})
	g.must(err)
	defer c.Close()
	v, err := c.Do(g.T.Context(), words...)
	g.must(err)
	return v
}

// fill makes so many keys of the name, with a number behind it.
func (g *rig) fill(database int, name string, n int) {
	g.T.Helper()
	words := []string{"MSET"}
	for i := range n {
		words = append(words, fmt.Sprintf("%s%d", name, i), strings.Repeat("x", i%50))
	}
	g.ask(database, words...)
}

// all is everything that the server has, values too.
func (g *rig) all() map[string]string {
	g.T.Helper()
	found := map[string]string{}
	for database := range 2 {
		words := []string{"MGET"}
		for _, key := range g.ask(database, "KEYS", "*").List {
			words = append(words, key.Text)
		}
		if len(words) == 1 {
			continue
		}
		for i, value := range g.ask(database, words...).List {
			found[fmt.Sprint(database, " ", words[i+1])] = value.Text
		}
	}
	return found
}

// kept are those of before that are not keys of database 0 with that beginning.
func kept(before map[string]string, prefix string) map[string]string {
	found := map[string]string{}
	for key, value := range before {
		if !strings.HasPrefix(key, "0 "+prefix) {
			found[key] = value
		}
	}
	return found
}

// keys is how many keys of database 0 begin with the text.
func (g *rig) keys(prefix string) int {
	return len(g.ask(0, "KEYS", prefix+"*").List)
}

// evidence is what a record says of the server.
type evidence struct {
	counts
	Redis, Memcached *counts // of which one is there
	Removed          int64
	End              string
}

type counts struct{ Keys, Bytes, Hits, Misses int64 }

func (g *rig) read(raw json.RawMessage) (e evidence) {
	g.T.Helper()
	g.must(json.Unmarshal(raw, &e))
	e.counts = *cmp.Or(e.Redis, e.Memcached)
	return e
}

func TestPrefix(t *testing.T) {
	g := newRig(t)
	g.fill(0, "sess:", 250)
	g.fill(0, "session-of-another:", 3)
	g.fill(0, "cart:sess:", 3)
	g.fill(1, "sess:", 3)
	g.ask(0, "GET", "sess:1")
	g.ask(0, "GET", "nothing")
	before := g.all()
	p, err := g.Runner.Prepare(t.Context(), g.request())
	g.must(err)
	if !p.Disruptive || !p.Shared || p.Text != `make cache sessions forget the keys that begin with "sess:": at most 1000, at most 100000 a second` ||
		len(p.Detail) != 1 || !strings.Contains(p.Detail[0], "256 keys in database 0") {
		t.Errorf("plan %+v", p)
	}
	if diff := gocmp.Diff(before, g.all()); diff != "" {
		t.Errorf("a plan changed something: %s", diff)
	}
	g.cache.Private = true
	if p, err = g.Runner.Prepare(t.Context(), g.request()); err != nil || p.Shared {
		t.Errorf("a cache of this host alone: %+v, %v", p, err)
	}
	a := g.Must(g.request())
	if diff := gocmp.Diff(kept(before, "sess:"), g.all()); diff != "" {
		t.Errorf("left is not what was to be left: %s", diff)
	}
	was, is := g.read(a.Before), g.read(a.After)
	if was.Keys != 256 || is.Keys != 6 || is.Removed != 250 || was.Hits == 0 || was.Misses == 0 || was.Bytes == 0 ||
		is.End != "every key was looked at" {
		t.Errorf("evidence before %+v, after %+v", was, is)
	}
	if text := string(a.Before) + string(a.After); strings.Contains(text, g.server.Password) || strings.Contains(text, "sess:") {
		t.Errorf("a secret, or a key, is in the evidence: %s", text)
	}
	a = g.Must(g.request()) // once more, now that there is nothing of it
	if is = g.read(a.After); is.Removed != 0 || is.Keys != 6 {
		t.Errorf("the second run removed something: %+v", is)
	}
}

// Signs that mean something in patterns mean themselves, also alone.
func TestPrefixIsNoPattern(t *testing.T) {
	g := newRig(t)
	for _, prefix := range []string{"*", "s*", "[se]", "?", `\`, "a\r\nb"} {
		g.ask(0, "FLUSHDB")
		g.fill(0, "sess:", 3)
		g.fill(0, "e", 3)
		g.fill(0, prefix, 2)
		before := g.all()
		g.args.Prefix = prefix
		g.Must(g.request())
		if diff := gocmp.Diff(kept(before, prefix), g.all()); diff != "" || g.keys("") != 6 {
			t.Errorf("%q: %s", prefix, diff)
		}
	}
}

func TestAll(t *testing.T) {
	g := newRig(t)
	g.args.Prefix, g.args.All = "", true
	for _, atOnce := range []bool{false, true} {
		g.fill(0, "sess:", 20)
		g.fill(0, "cart:", 20)
		g.fill(1, "sess:", 3)
		before := g.all()
		g.args.AtOnce = atOnce
		a := g.Must(g.request())
		if diff := gocmp.Diff(kept(before, ""), g.all()); diff != "" {
			t.Errorf("at once %v: %s", atOnce, diff)
		}
		if is := g.read(a.After); is.Keys != 0 || is.Removed != map[bool]int64{false: 40}[atOnce] {
			t.Errorf("at once %v: %+v", atOnce, is)
		}
		g.Refused(g.request(), "has no keys", false) // an empty cache is as it should be
	}
	g.fill(0, "sess:", 20)
	g.args.Most = 19
	g.Refused(g.request(), "has 20 keys, more than the 19", false)
}

// empty-means-all: what names nothing removes nothing.
func TestNothingNamed(t *testing.T) {
	g := newRig(t)
	g.fill(0, "sess:", 5)
	before := g.all()
	for _, args := range []*remedy.CacheArgs{
		{}, {Cache: "sessions", Rate: 1, Most: 1}, {Cache: "sessions", Prefix: "sess:"}, {Prefix: "sess:", Rate: 1, Most: 1},
		{Cache: "sessions", Prefix: "sess:", All: true, Rate: 1, Most: 1}, {Cache: "sessions", AtOnce: true, Rate: 1, Most: 1},
		{Cache: "other", Prefix: "sess:", Rate: 1, Most: 1}, {Cache: "sessions", Prefix: "sess:", Rate: 1},
	} {
		g.args = args
		if a, err := g.Run(g.request()); err == nil {
			t.Errorf("%+v ran: %+v", args, a)
		}
	}
	if diff := gocmp.Diff(before, g.all()); diff != "" {
		t.Error(diff)
	}
}

// cold-cache: what stands behind gets no more to do than the rate allows, and no more in one run than is said.
func TestColdCache(t *testing.T) {
	g := newRig(t)
	g.fill(0, "sess:", 60)
	g.args.Rate, g.args.Most = 100, 25
	began := time.Now()
	a := g.Must(g.request())
	if took := time.Since(began); took < 140*time.Millisecond { // 25 keys, of which the last ten need no rest
		t.Errorf("25 keys at 100 a second took %s", took)
	}
	is := g.read(a.After)
	if is.Removed != 25 || g.keys("sess:") != 35 || !strings.Contains(is.End, "as many keys") {
		t.Errorf("%+v", is)
	}
	g.args.Rate, g.args.Most = 1, 1000
	q := g.request()
	q.Remedy.Timeout = 3 * time.Second // a key at once, and two more, the last a second before the end
	a, err := g.Run(q)
	is = g.read(a.After)
	if err != nil || a.Error != "" || !strings.Contains(is.End, "time of one run") || is.Removed < 1 || is.Removed > 3 {
		t.Errorf("a run of 3 s at one a second: %s, %v, %+v", a.Error, err, is)
	}
}

func TestLeftAlone(t *testing.T) {
	g := newRig(t, `user reader on nopass allkeys +info +dbsize +scan +select`)
	g.fill(0, "sess:", 5)
	before := g.all()
	g.cache.User, g.cache.PasswordFile = "", ""
	g.Refused(g.request(), "cannot be known now: refused: \"NOAUTH", true)
	password := filepath.Join(t.TempDir(), "password")
	g.must(os.WriteFile(password, []byte("guess"), 0o600))
	g.cache.PasswordFile = password
	g.Refused(g.request(), "log in: refused: \"WRONGPASS", true)
	g.must(os.WriteFile(password, []byte(g.server.Password), 0o600))
	g.cache.User = g.server.User
	g.Refused(g.request(), "NOPERM", true)
	g.cache.User = "reader"
	if a, err := g.Run(g.request()); err != nil || !strings.Contains(a.Error, "after 0 keys were removed: refused: \"NOPERM") {
		t.Errorf("who may only read: %q, %v", a.Error, err)
	}
	g.args.Prefix, g.args.All, g.args.AtOnce = "", true, true
	if a, err := g.Run(g.request()); err != nil || !strings.Contains(a.Error, "nothing was removed") || a.Phase != incident.Acted {
		t.Errorf("who may only read, at once: %q, %v", a.Error, err)
	}
	g.args.Prefix, g.args.All, g.args.AtOnce = "sess:", false, false
	g.cache.User = ""
	if diff := gocmp.Diff(before, g.all()); diff != "" {
		t.Error(diff)
	}
	g.cache.Database = 1
	g.Refused(g.request(), "has no keys", false)
	g.cache.Database = 999
	g.Refused(g.request(), "select database 999", true)
	g.cache.Database = 0
	g.ask(0, "REPLICAOF", "127.0.0.1", "1")
	g.Refused(g.request(), "it is a replica of 127.0.0.1:1", false)
	g.ask(0, "REPLICAOF", "NO", "ONE")
	g.Runner.SetAllow(nil)
	g.Refused(g.request(), "no allow block", false)
	g.Runner.SetAllow([]config.Allow{{Caches: []string{"*"}, Actions: []string{"clear_cache"}}})
	g.server.Stop()
	g.Refused(g.request(), "cannot be known now: connect", true)
}

// midway begins an action that would take long, calls do when some keys are gone, and gives the action's error.
func (g *rig) midway(s *kind.Step, do func()) error {
	g.T.Helper()
	full := g.keys("sess:")
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(g.T.Context(), 30*time.Second)
	defer cancel()
	go func() { done <- g.kind.Act(ctx, s) }()
	agenttest.Eventually(g.T, func() bool { return g.keys("sess:") < full }, "the first keys are gone")
	do()
	return <-done
}

// A server that is gone in the middle, becomes a replica, or hangs ends the run, and nothing more is removed.
func TestBreaksOff(t *testing.T) {
	g := newRig(t)
	g.fill(0, "sess:", 200)
	g.args.Rate = 10 // so that they last for 20 s
	s, a := acttest.Stage(t, g.kind, g.request())
	err := g.midway(s, func() { g.ask(0, "REPLICAOF", "127.0.0.1", "1") })
	if err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("a replica in the middle: %v", err)
	}
	if phase, why := g.kind.Settle(t.Context(), a); phase != incident.Unknown {
		t.Errorf("a replica by now: %s, %s", phase, why)
	}
	g.ask(0, "REPLICAOF", "NO", "ONE")
	if left := g.keys("sess:"); left < 100 || left > 199 {
		t.Errorf("%d keys are left", left)
	}
	if phase, why := g.kind.Settle(t.Context(), a); phase != incident.Acted || !strings.Contains(why, "of 200 keys") {
		t.Errorf("in the middle: %s, %s", phase, why)
	}
	s, a = acttest.Stage(t, g.kind, g.request())
	if err := g.midway(s, g.server.Stop); err == nil || !strings.Contains(err.Error(), "keys were removed") {
		t.Errorf("gone in the middle: %v", err)
	}
	if phase, why := g.kind.Settle(t.Context(), a); phase != incident.Unknown {
		t.Errorf("gone: %s, %s", phase, why)
	}
}

func TestHangs(t *testing.T) {
	g := newRig(t)
	g.fill(0, "sess:", 20)
	s, _ := acttest.Stage(t, g.kind, g.request())
	g.must(g.server.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := g.kind.Act(ctx, s); err == nil {
		t.Error("a frozen server was cleared")
	}
	g.must(g.server.Thaw())
	if left := g.keys("sess:"); left != 20 {
		t.Errorf("%d keys are left", left)
	}
}

// Before it ran, after it ran, and after another life of the server.
func TestSettle(t *testing.T) {
	g := newRig(t)
	g.fill(0, "sess:", 20)
	s, a := acttest.Stage(t, g.kind, g.request())
	g.settles(a, "before", incident.NotDone)
	g.must(g.kind.Act(t.Context(), s))
	g.settles(a, "after", incident.Acted)
	g.fill(0, "cart:", 50)
	g.settles(a, "after, with other keys since", incident.Unknown)
	g.args.Prefix, g.args.All, g.args.AtOnce = "", true, true
	s, a = acttest.Stage(t, g.kind, g.request())
	g.settles(a, "before, at once", incident.NotDone)
	g.must(g.kind.Act(t.Context(), s))
	g.settles(a, "after, at once", incident.Acted)
	g.ask(0, "CONFIG", "RESETSTAT")
	g.settles(a, "counters from zero", incident.Unknown)
	a.Before = nil
	g.settles(a, "without evidence", incident.Unknown)
}

// A node of a cluster clears its own part, and only while the cluster is whole.
func TestCluster(t *testing.T) {
	g := newRig(t, "cluster-enabled yes", "cluster-port "+agenttest.FreePort(t))
	whole := func(how string) {
		t.Helper()
		agenttest.Eventually(t, func() bool {
			return strings.Contains(g.ask(0, "CLUSTER", "INFO").Text, "cluster_state:"+how)
		}, "the cluster is "+how)
	}
	whole("fail")
	g.Refused(g.request(), `the state of its cluster is "fail"`, true)
	g.ask(0, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	whole("ok")
	for i := range 40 {
		g.ask(0, "SET", "sess:"+strconv.Itoa(i), "")
		g.ask(0, "SET", "cart:"+strconv.Itoa(i), "")
	}
	p, err := g.Runner.Prepare(t.Context(), g.request())
	if err != nil || !strings.Contains(p.Text, "of this node's part of the cluster") {
		t.Errorf("plan %+v, %v", p, err)
	}
	a := g.Must(g.request())
	if is := g.read(a.After); is.Removed != 40 || g.keys("cart:") != 40 {
		t.Errorf("%+v, %d others are left", is, g.keys("cart:"))
	}
}
