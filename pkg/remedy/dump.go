package remedy

import (
	"net/netip"
	"net/url"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// DumpArgs are the arguments of dump.
type DumpArgs struct {
	UnitArgs
	How     string        // HowThreads or HowHTTP
	URL     string        // of HowHTTP: page on loopback that is kept; else ""
	Samples int           // of HowThreads: looks at all threads
	Within  time.Duration // what has not come by then is left out
	Most    int           // MiB; what is more is left out
}

// Words of dump.
const (
	HowThreads = "threads"
	HowHTTP    = "http"
)

func dump() Spec {
	return Spec{
		Kind: Dump, Target: OnUnit, Gathers: true,
		Summary: "keep a picture of a service before another remedy destroys it: what its threads wait for, or a page with its heap or stacks",
		Needs: "What threads wait for in the kernel (wchan, syscall) is seen of other users' processes with CAP_SYS_PTRACE only, as " +
			"examples/descriptors.conf gives it, and their kernel stacks with CAP_SYS_ADMIN only; what cannot be seen is named in the dump. " +
			"A page is a service's own, such as Go's /debug/pprof/.",
		Worst: "a dump of memory holds passwords, keys and what customers wrote. Dumps lie in the folder dumps of the agent's own " +
			"folder, which nobody else can read, and never leave the host; look after copies. Threads are looked at from outside, which the " +
			"service does not notice; a page it has to make itself, and Go stands still for the moment in which it gathers stacks. The " +
			"next remedy waits for \"within\" at most. A twentieth of the disk, of a large one 1 GiB, stays free. " +
			"The next dump removes those that are older than 30 days, and the oldest until 100 and 256 MiB are left.",
		Back: "Never: nothing was changed. It heals nothing either, so its attempt is ineffective and the next remedy of try has its " +
			"turn at once, with as many attempts as without a dump before it; attempts = 1 keeps one picture an hour.",
		Args: []Arg{
			unitArg(),
			{Name: "how", Type: String, Required: true, Help: "\"threads\": state, and where in the kernel each thread waits, several times; " +
				"\"http\": the page at url. For a core dump run gcore by exec; for the stacks of a JVM let kill send SIGQUIT, which ends a Go program"},
			{Name: "url", Type: String, Help: "of http: page on loopback, such as " +
				"\"http://127.0.0.1:6060/debug/pprof/goroutine?debug=2\"; redirects are not followed"},
			{Name: "samples", Type: Integer, Default: "5", Least: 1, Most: 25, Help: "of threads: how often they are looked at, 200 ms apart"},
			{Name: "within", Type: Duration, Default: defaults.Duration(defaults.DumpWithin), Min: time.Second, Max: time.Minute,
				Help: "the dump ends after this time, with what has come by then"},
			{Name: "max_mib", Type: Integer, Default: "16", Least: 1, Most: 64, Help: "the dump ends at this size"},
		},
		decode: func(r *reader) Args {
			a := &DumpArgs{UnitArgs: r.unit(), How: r.text("how"), URL: r.text("url"), Samples: r.integer("samples", 5),
				Within: r.duration("within", defaults.DumpWithin), Most: r.integer("max_mib", 16)}
			r.checkDump(a)
			return a
		},
	}
}

func (r *reader) checkDump(a *DumpArgs) {
	if r.has("how") {
		r.oneOf("how", HowThreads, HowHTTP)
	}
	switch {
	case a.How == HowHTTP && !r.has("url"):
		r.problem("", "dump by http needs url: the page that is kept")
	case a.How != HowHTTP && r.has("url"):
		r.problem("url", "only http has a url")
	case a.How == HowHTTP && r.has("samples"):
		r.problem("samples", "only threads are looked at several times")
	}
	if r.has("url") {
		if wrong := CheckPage(a.URL); wrong != "" {
			r.problem("url", "%s", wrong)
		}
	}
}

// CheckPage returns what is wrong with the URL of a page of this host, or "".
func CheckPage(page string) string {
	u, err := url.Parse(page)
	switch {
	case err != nil:
		return "it is not a URL"
	case u.Scheme != "http" || u.Opaque != "" || u.Fragment != "":
		return "\"" + u.Redacted() + "\" is not an http:// URL of a page"
	case u.User != nil:
		return "a URL must not hold a user or password"
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err != nil || !ip.IsLoopback() {
		return "\"" + u.Hostname() + "\" is not 127.0.0.1 or [::1]: a dump holds secrets, and only this host is asked for one"
	}
	return ""
}
