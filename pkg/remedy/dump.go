package remedy

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// DumpArgs are the arguments of dump.
type DumpArgs struct {
	UnitArgs
	How     string        // HowThreads, HowStacks, HowCore or HowHTTP
	URL     string        // of HowHTTP: page on loopback that is kept; else ""
	Samples int           // of HowThreads: looks at all threads
	Within  time.Duration // what has not come by then is left out
	Most    int           // MiB; what is more is left out
}

// Words of dump.
const (
	HowThreads = "threads"
	HowStacks  = "stacks"
	HowCore    = "core"
	HowHTTP    = "http"
)

// Most MiB that a dump may have; the first is also what it may have if nothing is written.
const (
	dumpMost, dumpBound = 16, 64
	coreMost, coreBound = 256, 1024
)

// disruptive: while the whole memory of a process is read nobody is served.
func (a *DumpArgs) disruptive() bool { return a.How == HowCore }

func dump() Spec {
	return Spec{
		Kind: Dump, Target: OnUnit, Disruptive: true, Gathers: true,
		Summary: "keep a picture of a service before another remedy destroys it: what its threads wait for, their stacks, a core, or a page of its own",
		Needs: "What threads wait for in the kernel (wchan, syscall) is seen of other users' processes with CAP_SYS_PTRACE only, as " +
			"examples/descriptors.conf gives it, and their kernel stacks with CAP_SYS_ADMIN only; what cannot be seen is named in the dump. " +
			"\"stacks\" takes eu-stack (package elfutils), \"core\" takes gdb; where the service has another user than the agent, both need " +
			"examples/tracing.conf. What they would lack refuses them before anything is stopped. " +
			"A page is a service's own, such as Go's /debug/pprof/.",
		Worst: "a dump of memory holds passwords, keys and what customers wrote. Dumps lie in the folder dumps of the agent's own " +
			"folder, which nobody else can read, and never leave the host; look after copies. Threads are looked at from outside, which the " +
			"service does not notice; for its stack each stands still for some milliseconds, and for a core the whole main process does, a " +
			"second for some hundred MiB, which is why that takes a permit. None stands still for longer than \"within\" or half of its WatchdogSec: " +
			"when the program that reads it dies, it is let go on; where the agent was killed with it, by the next agent, if not by the kernel. " +
			"A page it has to make itself, and Go stands still for the moment in which it gathers stacks. The " +
			"next remedy waits for \"within\" at most. A twentieth of the disk, of a large one 1 GiB, stays free. " +
			"The next dump removes those that are older than 30 days, and the oldest until 100 and 1 GiB are left.",
		Back: "Never: nothing was changed. It heals nothing either, so its attempt is ineffective and the next remedy of try has its " +
			"turn at once, with as many attempts as without a dump before it; attempts = 1 keeps one picture an hour.",
		Args: []Arg{
			unitArg(),
			{Name: "how", Type: String, Required: true, Help: "\"threads\": state, and where in the kernel each thread waits, several times; " +
				"\"stacks\": functions that each thread of the main process is in; \"core\": its memory and registers, for gdb; " +
				"\"http\": the page at url. For the stacks of a JVM let kill send SIGQUIT: they are in the unit's journal. A Go program ends by " +
				"it; take its page"},
			{Name: "url", Type: String, Help: "of http: page on loopback, such as " +
				"\"http://127.0.0.1:6060/debug/pprof/goroutine?debug=2\"; redirects are not followed"},
			{Name: "samples", Type: Integer, Default: "5", Least: 1, Most: 25, Help: "of threads: how often they are looked at, 200 ms apart"},
			{Name: "within", Type: Duration, Default: defaults.Duration(defaults.DumpWithin), Min: time.Second, Max: time.Minute,
				Help: "the dump ends after this time, with what has come by then; of a core nothing is kept then"},
			{Name: "max_mib", Type: Integer, Default: "16; of a core 256", Least: 1, Most: coreBound, Help: fmt.Sprintf("the dump ends at this size, "+
				"at most %d; a core, which may have up to %d, is refused before if the process has more memory of its own", dumpBound, coreBound)},
		},
		decode: func(r *reader) Args {
			a := &DumpArgs{UnitArgs: r.unit(), How: r.text("how"), URL: r.text("url"), Samples: r.integer("samples", 5),
				Within: r.duration("within", defaults.DumpWithin)}
			a.Most = r.integer("max_mib", map[bool]int{true: coreMost, false: dumpMost}[a.How == HowCore])
			r.checkDump(a)
			return a
		},
	}
}

func (r *reader) checkDump(a *DumpArgs) {
	if r.has("how") {
		r.oneOf("how", HowThreads, HowStacks, HowCore, HowHTTP)
	}
	switch {
	case a.How == HowHTTP && !r.has("url"):
		r.problem("", "dump by http needs url: the page that is kept")
	case a.How != HowHTTP && r.has("url"):
		r.problem("url", "only http has a url")
	case a.How != HowThreads && r.has("samples"):
		r.problem("samples", "only threads are looked at several times")
	case a.How != HowCore && a.Most > dumpBound:
		r.problem("max_mib", "only a core may have more than %d", dumpBound)
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
