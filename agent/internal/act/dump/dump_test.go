package dump_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/dump"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// rig has a.service running, and an agent with a folder of its own.
type rig struct {
	*acttest.Rig
	data, dumps string
}

func newRig(t *testing.T, service string) *rig {
	t.Helper()
	g, _ := acttest.Running(t, service)
	r := &rig{Rig: g}
	r.at(t.TempDir())
	return r
}

// at lets the agent have that folder.
func (r *rig) at(data string) {
	r.T.Helper()
	r.data, r.dumps = data, filepath.Join(data, "dumps")
	var err error
	r.Runner, err = act.New(act.Options{Allow: acttest.Everything(), Systemd: r.Watcher, Journal: r.Journal,
		Clock: acttest.Clock(r.T), Data: data})
	r.must(err)
}

func (r *rig) must(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

func (r *rig) kind() dump.Kind {
	h := &kind.Host{Systemd: r.Watcher, Clock: acttest.Clock(r.T), Data: r.data}
	return dump.New(h, unit.New(h))
}

// names are the files in the folder of dumps.
func (r *rig) names() []string {
	var names []string
	list, _ := os.ReadDir(r.dumps)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func threads(samples int) kind.Request {
	q := acttest.Ask(remedy.Dump, "a.service", &remedy.DumpArgs{How: remedy.HowThreads, Samples: samples, Within: 10 * time.Second, Most: 1})
	q.Attempt.Incident = "incident"
	return q
}

func page(url string, within time.Duration) kind.Request {
	return acttest.Ask(remedy.Dump, "a.service", &remedy.DumpArgs{How: remedy.HowHTTP, URL: url, Within: within, Most: 1})
}

// said is the evidence of an attempt.
type said struct {
	File    string
	Bytes   int64
	SHA256  string
	Cut     string
	Removed []string
}

func (r *rig) said(a incident.Attempt) (e said, text string) {
	r.T.Helper()
	r.must(json.Unmarshal(a.After, &e))
	b, err := os.ReadFile(e.File)
	r.must(err)
	if int64(len(b)) != e.Bytes || e.Bytes == 0 {
		r.T.Errorf("%s has %d bytes: %s", e.File, len(b), a.After)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(b)); e.SHA256 != want {
		r.T.Errorf("its SHA-256 is %s: %s", want, a.After)
	}
	return e, string(b)
}

const waits = `
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>
static void *wait(void *end) { char c; prctl(PR_SET_NAME, "on-a-pipe"); read(*(int *)end, &c, 1); return 0; }
int main(void) {
	int ends[2]; pthread_t t;
	pipe(ends);
	pthread_create(&t, 0, wait, &ends[0]);
	for (;;) pause();
}
`

// The threads of a service in C tell where they wait, and nothing of it has changed: also not when it is done twice.
func TestThreads(t *testing.T) {
	r := newRig(t, "[Service]\nExecStart="+compiled(t, waits)+"\n")
	was, _ := r.Watcher.Unit("a.service")
	agenttest.Eventually(t, func() bool {
		names := ""
		found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", was.MainPID))
		for _, path := range found {
			name, _ := os.ReadFile(path)
			names += string(name)
		}
		return states(was.MainPID) == "SS" && strings.Contains(names, "on-a-pipe\n")
	}, "two threads wait")
	for i := range 2 {
		q := threads(2)
		e, text := r.said(r.Must(q))
		if want := "dump-incident-" + q.Attempt.ID + ".threads"; filepath.Base(e.File) != want || e.Cut != "" {
			t.Errorf("%s, cut because %q; want %s", e.File, e.Cut, want)
		}
		for _, want := range []string{fmt.Sprintf("sample 1 process %d thread %[1]d\n  Name:\tservice\n  State:\tS", was.MainPID),
			fmt.Sprintf("sample 2 process %d thread %[1]d\n", was.MainPID), "Name:\ton-a-pipe"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if os.Geteuid() == 0 && !regexp.MustCompile(`(?s)on-a-pipe.*(wchan: .*pipe|syscall: 0 0x|stack: .*pipe)`).MatchString(text) {
			t.Errorf("nothing says that a thread reads from a pipe:\n%s", text)
		}
		if names := r.names(); len(names) != i+1 {
			t.Errorf("dumps are %v", names)
		}
		if file, err := os.Stat(e.File); err != nil || file.Mode() != 0o600 {
			t.Errorf("%v, %v", file.Mode(), err)
		}
	}
	if in, err := os.Stat(r.dumps); err != nil || in.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", in.Mode(), err)
	}
	now, err := r.Watcher.Read(t.Context(), "a.service")
	if err != nil || now.InvocationID != was.InvocationID || now.MainPID != was.MainPID || now.Active != "active" {
		t.Errorf("it was %+v, it is %+v, %v", was, now, err)
	}
}

// A page of a service in Go is kept, as far as it comes: neither a refusal nor silence leaves a file.
func TestPages(t *testing.T) {
	at := filepath.Join(t.TempDir(), "address")
	r := newRig(t, "[Service]\nEnvironment="+serviceEnv+"="+at+"\nExecStart="+os.Args[0]+"\n")
	var address []byte
	agenttest.Eventually(t, func() (up bool) {
		var err error
		address, err = os.ReadFile(at)
		return err == nil
	}, "the service listens")
	base := "http://" + string(address)
	within := func(url string) time.Duration {
		if strings.HasSuffix(url, "/stuck") || strings.HasSuffix(url, "/silent") {
			return 3 * time.Second // all of it
		}
		return acttest.Patience
	}
	for path, want := range map[string]struct{ text, cut string }{
		"/debug/pprof/goroutine?debug=2": {"dump_test.service(", ""},
		"/stuck":                         {"xxxx", "its 3s were over"},
		"/endless":                       {"xxxx", "it had more than max_mib"},
		"/gone":                          {"xxxx", "unexpected EOF"},
	} {
		e, text := r.said(r.Must(page(base+path, within(path))))
		if !strings.Contains(text, want.text) || e.Cut != want.cut || e.Bytes > 1<<20 {
			t.Errorf("%s: %d bytes, cut because %q, want %q; %.100s", path, e.Bytes, e.Cut, want.cut, text)
		}
	}
	before := r.names()
	for url, want := range map[string]string{
		base + "/missing": `"404 Not Found"`, base + "/private": `"401 Unauthorized"`, base + "/elsewhere": `"302 Found"`,
		base + "/silent": "its 3s were over", "http://127.0.0.1:1/": "connection refused",
	} {
		a, err := r.Run(page(url, within(url)))
		if err != nil || a.Phase != incident.Acted || !strings.Contains(a.Error, want) || a.After != nil {
			t.Errorf("%s: %s %q, %v; want %q", url, a.Phase, a.Error, err, want)
		}
	}
	if after := r.names(); !slices.Equal(before, after) {
		t.Errorf("what failed left a file: %v, before %v", after, before)
	}
	u, _ := r.Watcher.Unit("a.service")
	if _, text := r.said(r.Must(picture(remedy.HowStacks, 1))); strings.Count(text, "\n#0 ") < 2 { // it is stripped, and has no names
		t.Errorf("of Go's threads there are no stacks:\n%s", text)
	}
	r.goesOn(u)
	if now := r.Up("a.service"); now.InvocationID != u.InvocationID {
		t.Error("it is another one")
	}
}

// Whatever stands in its way, the next remedy has its turn: nothing is waited for.
func TestRefused(t *testing.T) {
	r := newRig(t, acttest.Sleeper)
	r.Refused(page("http://192.0.2.1/", time.Second), "not 127.0.0.1", false)
	r.Refused(page("http://localhost.example/", time.Second), "not 127.0.0.1", false)
	odd := threads(1)
	odd.Attempt.ID = "../../etc/x"
	r.Refused(odd, "no file can be called", false)
	dump.Lacks(t, remedy.HowStacks)
	r.Refused(picture(remedy.HowStacks, 1), "is not installed (package elfutils)", false)
	nobody := threads(1)
	nobody.Unit = ""
	r.Refused(nobody, "has no name", false)
	r.must(os.Symlink(t.TempDir(), r.dumps))
	if a, err := r.Run(threads(1)); err != nil || !strings.Contains(a.Error, "is no folder") {
		t.Errorf("a link is no folder: %+v, %v", a, err)
	}
	r.must(os.Remove(r.dumps))
	r.Do("stop", "a.service")
	r.Down("a.service")
	r.Refused(threads(1), "has no process", false)
	r.Runner.SetAllow(nil)
	r.Refused(threads(1), "no allow block", false)
	r.at("")
	r.Refused(threads(1), "no folder of its own", false)
	if len(r.names()) > 0 {
		t.Errorf("something was written: %v", r.names())
	}
}

// The oldest dumps go when there are too many, too large or too old ones, and never anything else.
func TestBounds(t *testing.T) {
	r := newRig(t, acttest.Sleeper)
	r.must(os.Mkdir(r.dumps, 0o700))
	put := func(name string, size int64, age time.Duration) {
		path := filepath.Join(r.dumps, name)
		r.must(os.WriteFile(path, nil, 0o600))
		r.must(os.Truncate(path, size))
		at := time.Now().Add(-age)
		r.must(os.Chtimes(path, at, at))
	}
	outside := filepath.Join(t.TempDir(), "outside")
	r.must(os.WriteFile(outside, []byte("x"), 0o600))
	r.must(os.Symlink(outside, filepath.Join(r.dumps, "dump-link.threads")))
	r.must(os.Mkdir(filepath.Join(r.dumps, "dump-folder.http"), 0o700))
	others := []string{"dump-folder.http", "dump-link.threads", "notes.txt"}
	put("notes.txt", 1100<<20, 1000*time.Hour)
	run := func(want ...string) {
		t.Helper()
		q := threads(1)
		e, _ := r.said(r.Must(q))
		want = append(append(want, others...), filepath.Base(e.File))
		slices.Sort(want)
		if got := r.names(); !slices.Equal(got, want) {
			t.Errorf("left are %v, want %v (removed %v)", got, want, e.Removed)
		}
		r.must(os.Remove(e.File))
	}
	put("dump-a.http", 1, 31*24*time.Hour)
	put("dump-b.http", 800<<20, 29*24*time.Hour)
	put("dump-c.http", 200<<20, time.Hour)
	run("dump-b.http", "dump-c.http")
	put("dump-d.http", 200<<20, time.Minute)
	run("dump-c.http", "dump-d.http")
	r.must(os.Remove(filepath.Join(r.dumps, "dump-c.http")))
	r.must(os.Remove(filepath.Join(r.dumps, "dump-d.http")))
	var young []string
	for i := range 105 {
		name := fmt.Sprintf("dump-%03d.threads", i)
		put(name, 1, time.Hour-time.Duration(i)*time.Second)
		young = append(young, name)
	}
	run(young[6:]...)
}

// A full disk gets no dump, and a dump does not fill one.
func TestFullDisk(t *testing.T) {
	data := t.TempDir()
	err := unix.Mount("tmpfs", data, "tmpfs", 0, "size=20M")
	agenttest.Require(t, "a file system of its own (root)", err == nil, fmt.Sprint(err))
	t.Cleanup(func() { _ = unix.Unmount(data, unix.MNT_DETACH) })
	r := newRig(t, acttest.Sleeper)
	r.at(data)
	fill := func(size int) { r.must(os.WriteFile(filepath.Join(data, "journal"), make([]byte, size), 0o600)) }
	fill(19 << 20)
	r.Refused(threads(1), "stay free", false)
	fill(10 << 20)
	s, a := acttest.Stage(t, r.kind(), threads(1))
	fill(19<<20 + 900<<10)
	if err := r.kind().Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "stay free") {
		t.Errorf("others have filled the disk meanwhile: %v", err)
	}
	if phase, why := r.kind().Settle(t.Context(), a); phase != incident.NotDone || len(r.names()) > 0 {
		t.Errorf("%s: %s; %v", phase, why, r.names())
	}
	fill(10 << 20)
	s, _ = acttest.Stage(t, r.kind(), picture(remedy.HowStacks, 1))
	fill(19 << 20)
	if err := r.kind().Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "stay free") || len(r.names()) > 0 {
		t.Errorf("a program would fill it: %v, %v", err, r.names())
	}
}

// dies-in-the-middle: the file tells. Without one nothing was done, and it may be done.
func TestSettle(t *testing.T) {
	r := newRig(t, acttest.Sleeper)
	k := r.kind()
	_, a := acttest.Stage(t, k, threads(1))
	if _, err := os.Stat(r.dumps); err == nil {
		t.Error("a precheck has made a folder")
	}
	for _, c := range []struct {
		text *string
		want incident.Phase
	}{{nil, incident.NotDone}, {new(""), incident.NotDone}, {new("half"), incident.Acted}} {
		if c.text != nil {
			r.must(os.WriteFile(filepath.Join(r.dumps, "dump-incident-"+a.ID+".threads"), []byte(*c.text), 0o600))
		}
		if phase, why := k.Settle(t.Context(), a); phase != c.want {
			t.Errorf("%s: %s", phase, why)
		}
	}
	if !k.Quiet(a) || k.Undo(t.Context(), a) == nil {
		t.Error("something of it runs, or it can be taken back")
	}
	a.Before = nil
	if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("without evidence: %s, %s", phase, why)
	}
}

// A pause ends it at its next look, and what it saw is kept.
func TestHalt(t *testing.T) {
	r := newRig(t, acttest.Sleeper)
	p, err := r.Runner.Prepare(t.Context(), threads(25))
	r.must(err)
	halt := make(chan struct{})
	p.Halt = halt
	go func() {
		defer close(halt)
		kind.Eventually(t.Context(), 10*time.Millisecond, func() bool {
			names := r.names()
			if len(names) == 0 {
				return false
			}
			is, err := os.Stat(filepath.Join(r.dumps, names[0]))
			return err == nil && is.Size() > 0
		})
	}()
	a, err := r.Runner.Run(t.Context(), p)
	r.must(err)
	if e, text := r.said(a); e.Cut != kind.ErrHalt.Error() || strings.Contains(text, "sample 25 ") {
		t.Errorf("cut because %q:\n%s", e.Cut, text)
	}
}
