package pool

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
)

var haproxySignals = []string{"active", "idle", "waiting", "used_ratio", "up_ratio"}

func TestRealHAProxy(t *testing.T) {
	release := make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer behind.Close()
	address := behind.Listener.Addr().String()
	b := agenttest.HAProxy(t, " server a "+address+" maxconn 2\n server b 127.0.0.1:1 check inter 50ms fall 1 maxconn 2")
	w := watch(t, Target{
		Service: "shop", Name: "web", HAProxy: b.Stats, Backend: "web", Every: 50 * time.Millisecond, Signals: haproxySignals,
	})
	w.Until("one of two servers is up", func(r sourcetest.Round) bool {
		return len(r) == 5 && r["pool.web.up_ratio{shop}"] == .5 && r["pool.web.used_ratio{shop}"] == 0
	})

	// The server takes two requests: a third and a fourth wait.
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", b.Front)
	}}}
	done := make(chan error)
	for range 4 {
		go func() {
			res, err := client.Get("http://shop.test/")
			if err == nil {
				_ = res.Body.Close()
			}
			done <- err
		}()
	}
	w.Until("two are served and two wait", func(r sourcetest.Round) bool {
		return r["pool.web.active{shop}"] == 2 && r["pool.web.waiting{shop}"] == 2 && r["pool.web.used_ratio{shop}"] == 1
	})
	close(release)
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	client.CloseIdleConnections()
	w.Until("a connection is free", func(r sourcetest.Round) bool {
		return r["pool.web.active{shop}"] == 0 && r["pool.web.idle{shop}"] > 0
	})

	// Whoever takes a server out wants it so; the rest is up.
	if err := b.Command(t.Context(), "set server web/b state maint", "\n"); err != nil {
		t.Fatal(err)
	}
	w.Until("all that is not in maintenance is up", func(r sourcetest.Round) bool { return r["pool.web.up_ratio{shop}"] == 1 })
	b.Stop()
	w.Until("unknown without HAProxy", func(r sourcetest.Round) bool { return len(r) == 0 })
}

func TestRealHAProxyWithoutBackend(t *testing.T) {
	b := agenttest.HAProxy(t, " server a 127.0.0.1:1")
	_, err := balancer{b.Stats, "none"}.ask(t.Context())
	if err == nil || !strings.Contains(err.Error(), `backend none: it says "No such proxy."`) {
		t.Error(err)
	}
}

const stats = `# pxname,svname,qcur,scur,slim,status,srv_icur,
web,a,1,2,4,UP,3,
web,b,0,1,4,UP 1/3,0,
web,c,0,0,4,DOWN 1/2,0,
web,d,0,5,4,MAINT,0,
web,e,0,0,4,DRAIN,0,
web,f,0,0,4,MAINT (resolution),0,
web,g,0,0,2,no check,1,
web,BACKEND,4,8,200,UP,,
`

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte(stats), "web")
	want := reading{"active": 8, "idle": 4, "waiting": 5, "used_ratio": .3, "up_ratio": .6}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	got, err = parseStat([]byte(strings.Replace(stats, "web,g,0,0,2,", "web,g,0,0,,", 1)), "web")
	if _, known := got["used_ratio"]; known || err != nil {
		t.Errorf("a server without a limit is used to some share: %v, %v", got, err)
	}
	got, err = parseStat([]byte("# svname,qcur,scur,slim,status\nBACKEND,0,,,UP\n"), "web")
	if diff := cmp.Diff(reading{"active": 0, "waiting": 0}, got); diff != "" || err != nil {
		t.Errorf("a backend without servers, and no word about idle connections: %v -want +got:\n%s", err, diff)
	}
}

const head = "# svname,status,qcur,scur,slim,srv_icur\n"

func TestParseBrokenStat(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  `says ""`,
		"No such proxy.\n":                  "No such proxy",
		"# ":                                "EOF",
		head + "a,,,,,\n":                   "no row of the backend",
		head + "BACKEND,UP,x,,,\n":          "column qcur",
		head + "a,UP,,-1,,\nBACKEND,,,,,\n": "column scur",
		head + "a,UP,,\"x\nBACKEND,":        "wrong number of fields",
		head + "a,UP,0,1":                   "wrong number of fields",
		head + "BACKEND,UP,,,,1e3\n":        "column srv_icur",
		head + "BACKEND,UP,,,9999999999999999999999,\n":          "column slim",
		"# svname,status,scur,slim,srv_icur\nBACKEND,UP,1,1,1\n": "no column qcur",
		"# svname,qcur,scur,slim,srv_icur\nBACKEND,1,1,1,1\n":    "no column status",
	} {
		if r, err := parseStat([]byte(text), "web"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", text, r, err, want)
		}
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte(stats))
	f.Add([]byte(head + "a,UP,0,9,3,\nBACKEND,UP,,,,\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseStat(raw, "web")
		for name, v := range r {
			if err != nil || v < 0 || strings.HasSuffix(name, "_ratio") && v > 1 {
				t.Errorf("%s is %v, %v", name, v, err)
			}
		}
	})
}

// A socket that never comes to an end fills no memory.
func TestEndlessStat(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer os.Remove(path)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for line := []byte(strings.Repeat("web,a,1\n", 1024)); err == nil; {
			_, err = c.Write(line)
		}
	}()
	if _, err := (balancer{path, "web"}).ask(t.Context()); err == nil || !strings.Contains(err.Error(), "too much") {
		t.Error(err)
	}
}
