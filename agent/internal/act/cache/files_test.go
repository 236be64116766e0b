package cache_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/cache"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// web is a runner that needs no manager, with a real nginx.
type web struct {
	*rig
	proxy *agenttest.CachingProxy
}

// newWeb has n pages of each of two sorts in its cache.
func newWeb(t *testing.T, n int) *web {
	t.Helper()
	proxy := agenttest.Nginx(t)
	w := &web{on(t, &config.Cache{Name: "site", Nginx: proxy.Folder, Private: true}), proxy}
	w.args.Prefix = "/old/"
	for i := range n {
		w.get(fmt.Sprint("/old/", i))
		w.get(fmt.Sprint("/new/", i))
	}
	agenttest.Eventually(t, func() bool { // a page is sent before its file has its name
		for name := range w.files() {
			if filepath.Ext(name) != "" {
				return false
			}
		}
		return len(w.files()) == 2*n+1
	}, "all pages are kept")
	return w
}

func (w *web) get(path string) {
	w.T.Helper()
	w.must(w.proxy.Get(path))
}

// file is where nginx keeps a page.
func (w *web) file(path string) string {
	sum := md5.Sum([]byte(path))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(w.proxy.Folder, name[31:], name[29:31], name)
}

// files are all below the folder, with what is in them.
func (w *web) files() map[string]string {
	w.T.Helper()
	found := map[string]string{}
	w.must(filepath.WalkDir(w.proxy.Folder, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			text, _ := os.ReadFile(name)
			found[name] = string(text)
		}
		return err
	}))
	return found
}

// without are the files but those whose keys begin with the text.
func without(files map[string]string, key string) map[string]string {
	found := map[string]string{}
	for name, text := range files {
		if !strings.Contains(text, "\nKEY: "+key) {
			found[name] = text
		}
	}
	return found
}

type pages struct {
	Nginx   struct{ Count int }
	Removed int
	End     string
}

func (w *web) after(a incident.Attempt) (p pages) {
	w.T.Helper()
	w.must(json.Unmarshal(a.After, &p))
	return p
}

// Pages whose keys begin like this are fetched anew; the others are not, and what is no file of the cache stays.
func TestPages(t *testing.T) {
	w := newWeb(t, 30)
	clean := w.files()
	stray := map[string]string{
		"README": "a", strings.Repeat("a", 32): "no\nkey", "ab/cd/" + strings.Repeat("c", 31): "\nKEY: /old/1\n",
		"deep/er/" + strings.Repeat("d", 32): "\nKEY: /old/1\n", "1/2/3/4/" + strings.Repeat("e", 32): "\nKEY: /old/1\n",
	}
	for name, text := range stray {
		at := filepath.Join(w.proxy.Folder, name)
		w.must(os.MkdirAll(filepath.Dir(at), 0o755))
		w.must(os.WriteFile(at, []byte(text), 0o644))
	}
	outside := filepath.Join(t.TempDir(), strings.Repeat("f", 32))
	w.must(os.WriteFile(outside, []byte("\nKEY: /old/1\n"), 0o644))
	w.must(os.Symlink(outside, filepath.Join(w.proxy.Folder, strings.Repeat("f", 32))))
	w.must(os.Symlink(filepath.Dir(outside), filepath.Join(w.proxy.Folder, "0a")))
	before, want := w.files(), without(clean, "/old/")
	for name, text := range before {
		if _, cached := clean[name]; !cached {
			want[name] = text
		}
	}
	p, err := w.Runner.Prepare(t.Context(), w.request())
	if err != nil || p.Shared || !p.Disruptive || !strings.Contains(p.Detail[0], "62 files") { // with /first and a stray
		t.Fatalf("plan %+v, %v", p, err)
	}
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Errorf("a plan changed something: %s", diff)
	}
	a := w.Must(w.request())
	if diff := cmp.Diff(want, w.files()); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
	if is := w.after(a); is.Nginx.Count != 30 || is.Removed != 30 || is.End != "every key was looked at" {
		t.Errorf("evidence %s", a.After)
	}
	if strings.Contains(string(a.Before)+string(a.After), "/old/") {
		t.Errorf("a key is in the evidence: %s", a.Before)
	}
	was := w.proxy.Fetched.Load()
	w.get("/new/1")
	w.get("/old/1")
	w.get("/old/1")
	if n := w.proxy.Fetched.Load() - was; n != 1 {
		t.Errorf("the server behind was asked %d times for a page that was forgotten and one that was not", n)
	}
	w.must(os.Remove(w.file("/old/1")))
	w.Refused(w.request(), "has no file of such a key", false)
}

func TestAllPages(t *testing.T) {
	w := newWeb(t, 20)
	w.args.Prefix, w.args.All, w.args.Most = "", true, 25
	w.Must(w.request())
	if left := len(w.files()); left != 41-25 {
		t.Errorf("%d files are left", left)
	}
	w.args.Rate, w.args.Most = 100, 1000
	began := time.Now()
	w.Must(w.request())
	if took := time.Since(began); len(w.files()) != 0 || took < 90*time.Millisecond {
		t.Errorf("16 files at 100 a second took %s; %d are left", took, len(w.files()))
	}
	w.args.AtOnce = true
	w.Refused(w.request(), "at_once is for Redis and memcached", false)
}

// Of the agent's own folder nothing goes, whatever it looks like.
func TestOwnFolder(t *testing.T) {
	w := newWeb(t, 2)
	k := cache.New(&kind.Host{Clock: acttest.Clock(t), Data: w.proxy.Folder})
	s := &kind.Step{Request: w.request(), Target: "site"}
	if err := k.Precheck(t.Context(), s); err == nil || !strings.Contains(err.Error(), "has no file") {
		t.Errorf("it is a cache: %v", err)
	}
}

// What cannot be written loses nothing, and that is said.
func TestReadOnlyPages(t *testing.T) {
	w := newWeb(t, 3)
	before := w.files()
	err := unix.Mount(w.proxy.Folder, w.proxy.Folder, "", unix.MS_BIND, "")
	agenttest.Require(t, "leave to mount", err == nil, fmt.Sprint(err))
	defer func() { w.must(unix.Unmount(w.proxy.Folder, unix.MNT_DETACH)) }()
	w.must(unix.Mount("", w.proxy.Folder, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if a, err := w.Run(w.request()); err != nil || !strings.Contains(a.Error, "after 0 keys were removed") || !strings.Contains(a.Error, "read-only") {
		t.Errorf("%q, %v", a.Error, err)
	}
	if diff := cmp.Diff(before, w.files()); diff != "" {
		t.Error(diff)
	}
}

// dies-in-the-middle: the files that go first tell.
func TestPagesAreSettled(t *testing.T) {
	w := newWeb(t, 5)
	s, a := acttest.Stage(t, w.kind, w.request())
	w.settles(a, "before", incident.NotDone)
	w.must(os.Remove(w.file("/old/3")))
	w.settles(a, "in the middle", incident.Acted)
	w.must(w.kind.Act(t.Context(), s))
	w.settles(a, "after", incident.Acted)
	w.must(os.RemoveAll(w.proxy.Folder))
	w.settles(a, "without a folder", incident.Unknown)
	w.Refused(w.request(), "cannot be opened", false)
	if err := w.kind.Act(t.Context(), s); err == nil {
		t.Error("it acted on no folder")
	}
}
