package remedy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpecs(t *testing.T) {
	seen := map[Kind]bool{}
	for _, s := range Specs() {
		if seen[s.Kind] || s.Summary == "" || s.Target == "" || s.Worst == "" || s.Back == "" {
			t.Errorf("%s: twice in the table, or without summary, target, worst or way back", s.Kind)
		}
		seen[s.Kind] = true
		if (s.Target == OnUnit && !s.Gathers) != (len(s.Verbs) > 0) {
			t.Errorf("%s: only what changes units needs polkit, and all of it does: %v", s.Kind, s.Verbs)
		}
		if got, ok := Lookup(string(s.Kind)); !ok || got.Kind != s.Kind {
			t.Errorf("Lookup(%q) = %v, %v", s.Kind, got.Kind, ok)
		}
		for _, a := range s.Args {
			if a.Help == "" || a.Type == "" || a.Type == Duration && a.Max <= a.Min {
				t.Errorf("%s.%s lacks help, type or bounds", s.Kind, a.Name)
			}
		}
	}
	if _, ok := Lookup("nonsense"); ok || len(Names()) != len(seen) {
		t.Errorf("nonsense exists, or Names is incomplete: %v", Names())
	}
}

func spec(t *testing.T, k Kind) Spec {
	t.Helper()
	s, ok := Lookup(string(k))
	if !ok {
		t.Fatalf("no kind %s", k)
	}
	return s
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   Kind
		values Values
		want   Args
	}{
		{"nothing", Restart, nil, &UnitArgs{}},
		{"unit", Restart, Values{"unit": "a.service"}, &UnitArgs{Unit: "a.service"}},
		{"kill", Kill, nil, &KillArgs{Signal: "SIGKILL", Whom: "main"}},
		{"kill all", Kill, Values{"signal": "SIGTERM", "whom": "all"}, &KillArgs{Signal: "SIGTERM", Whom: "all"}},
		{"limit", SetProperty, Values{"properties": map[string]string{"CPUQuota": "20%"}, "for": time.Minute},
			&PropertyArgs{Properties: map[string]string{"CPUQuota": "20%"}, Runtime: true, For: time.Minute}},
		{"limit that lasts", SetProperty, Values{"properties": map[string]string{"CPUQuota": ""}, "runtime": false},
			&PropertyArgs{Properties: map[string]string{"CPUQuota": ""}}},
		{"exec", Exec, Values{"command": []string{"/bin/a", "b"}, "undo": []string{"/bin/c"}},
			&ExecArgs{Command: []string{"/bin/a", "b"}, Undo: []string{"/bin/c"}}},
		{"pool", ResetPool, Values{"pool": "db"}, &PoolArgs{Pool: "db", Mode: "reconnect"}},
		{"more", Scale, Values{"unit": "a@.service", "by": 2, "max": 8}, &ScaleArgs{Unit: "a@.service", Count: Count{By: 2, Min: 1, Max: 8}}},
		{"shed", Shed, Values{"victims": []string{"a.service", "b*.service"}, "by": "memory", "how": "stop"},
			&ShedArgs{Victims: []string{"a.service", "b*.service"}, By: "memory", How: "stop", For: 10 * time.Minute}},
		{"threads", Dump, Values{"how": "threads"}, &DumpArgs{How: "threads", Samples: 5, Within: 10 * time.Second, Most: 16}},
		{"stacks", Dump, Values{"how": "stacks"}, &DumpArgs{How: "stacks", Samples: 5, Within: 10 * time.Second, Most: 16}},
		{"core", Dump, Values{"how": "core"}, &DumpArgs{How: "core", Samples: 5, Within: 10 * time.Second, Most: 256}},
		{"page", Dump, Values{"how": "http", "url": "http://[::1]:6060/heap", "within": time.Second, "max_mib": 1},
			&DumpArgs{How: "http", URL: "http://[::1]:6060/heap", Samples: 5, Within: time.Second, Most: 1}},
		{"throttle", Shed, Values{"victims": []string{"a.service"}, "by": "cpu", "how": "throttle", "limit": "20%", "for": time.Minute},
			&ShedArgs{Victims: []string{"a.service"}, By: "cpu", How: "throttle", Limit: "20%", For: time.Minute}},
		{"balanced", Scale, Values{"unit": "a@.service", "by": 2, "max": 8, "balancer": "b", "server": "a%i"}, &ScaleArgs{
			Unit: "a@.service", Count: Count{By: 2, Min: 1, Max: 8}, Balancer: "b", Server: "a%i", Wait: 10 * time.Second}},
		{"so many", Scale, Values{"unit": "a@.service", "to": 2, "min": 2, "max": 8}, &ScaleArgs{Unit: "a@.service", Count: Count{To: 2, Min: 2, Max: 8}}},
		{"group", ScaleGroup, Values{"group": "w", "by": -2, "min": 3, "max": 8}, &GroupArgs{Group: "w", Count: Count{By: -2, Min: 3, Max: 8}}},
		{"call", ResetPool, Values{"pool": "db", "mode": "call"}, &PoolArgs{Pool: "db", Mode: "call"}},
		{"rollback", Rollback, Values{"releases": "/srv/a/releases"}, &RollbackArgs{Releases: "/srv/a/releases",
			Return: Return{GoodAfter: 15 * time.Minute}, Marker: ".no-rollback"}},
		{"rollback by reload", Rollback, Values{"releases": "/r", "units": []string{"b.service"}, "reload": true, "marker": "M",
			"good_after": time.Hour}, &RollbackArgs{Releases: "/r", Marker: "M",
			Return: Return{Units: []string{"b.service"}, Reload: true, GoodAfter: time.Hour}}},
		{"rollback of files", RollbackFiles, Values{"path": "/etc/a", "files": []string{"*.conf", "d/*"}, "marker": "/a/no", "check": []string{"/bin/a", "-t"}},
			&FilesArgs{Path: "/etc/a", Files: []string{"*.conf", "d/*"}, Marker: "/a/no", Check: []string{"/bin/a", "-t"},
				Return: Return{GoodAfter: 15 * time.Minute}}},
		{"packages", RollbackPackages, Values{"packages": []string{"a1", "g++"}}, &PackagesArgs{Packages: []string{"a1", "g++"},
			Return: Return{GoodAfter: 15 * time.Minute}}},
		{"packages with a marker", RollbackPackages, Values{"packages": []string{"a1"}, "marker": "/m"},
			&PackagesArgs{Packages: []string{"a1"}, Marker: "/m", Return: Return{GoodAfter: 15 * time.Minute}}},
		{"pause", ResetPool, Values{"pool": "db", "mode": "pause"}, &PoolArgs{Pool: "db", Mode: "pause", Wait: 10 * time.Second}},
		{"drain", ResetPool, Values{"pool": "web", "mode": "drain", "server": "a", "wait": time.Second},
			&PoolArgs{Pool: "web", Mode: "drain", Server: "a", Wait: time.Second}},
		{"terminate", ResetPool, Values{"pool": "db", "mode": "terminate", "user": "app"},
			&PoolArgs{Pool: "db", Mode: "terminate", User: "app", OlderThan: time.Minute, Most: 10}},
		{"terminate by age", ResetPool, Values{"pool": "db", "mode": "terminate", "older_than": time.Hour, "most": 3},
			&PoolArgs{Pool: "db", Mode: "terminate", OlderThan: time.Hour, Most: 3}},
	} {
		got, problems := spec(t, c.kind).Decode(c.values)
		if diff := cmp.Diff(c.want, got); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v\n%s", c.name, problems, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", maxWord+1)
	for _, c := range []struct {
		name   string
		kind   Kind
		values Values
		arg    string // of the first problem
		text   string // part of it
	}{
		{"no properties", SetProperty, nil, "", `needs "properties"`},
		{"empty properties", SetProperty, Values{"properties": map[string]string{}}, "properties", "from 1 to 16"},
		{"unknown property", SetProperty, Values{"properties": map[string]string{"Nice": "5"}}, "properties", "not know"},
		{"wrong value", SetProperty, Values{"properties": map[string]string{"TasksMax": "many"}}, "properties", "a number"},
		{"weight out of bounds", SetProperty, Values{"properties": map[string]string{"CPUWeight": "10001"}},
			"properties", "1 to 10000"},
		{"no command", Exec, nil, "", `needs "command"`},
		{"empty command", Exec, Values{"command": []string{}}, "command", "empty"},
		{"relative", Exec, Values{"command": []string{"bin/a"}}, "command", "absolute"},
		{"not clean", Exec, Values{"command": []string{"/bin/../a"}}, "command", "/a"},
		{"long word", Exec, Values{"command": []string{"/a", long}}, "command", "longer"},
		{"zero byte", Exec, Values{"command": []string{"/a", "\x00"}}, "command", "zero"},
		{"many words", Exec, Values{"command": append([]string{"/a"}, make([]string, maxWords)...)}, "command", "words"},
		{"relative undo", Exec, Values{"command": []string{"/a"}, "undo": []string{"b"}}, "undo", "absolute"},
		{"signal", Kill, Values{"signal": "SIGSTOP"}, "signal", "none of"},
		{"whom", Kill, Values{"whom": "control"}, "whom", "none of"},
		{"glob", Restart, Values{"unit": "a*.service"}, "unit", "glob"},
		{"no packages", RollbackPackages, nil, "", `needs "packages"`},
		{"empty packages", RollbackPackages, Values{"packages": []string{}}, "packages", "names none"},
		{"many packages", RollbackPackages, Values{"packages": make([]string, MostPackages+1)}, "packages", "at most 16"},
		{"one twice", RollbackPackages, Values{"packages": []string{"a1", "a1"}}, "packages", "a1 is named twice"},
		{"architecture", RollbackPackages, Values{"packages": []string{"a1:i386"}}, "packages", "no architecture"},
		{"Salve's own", RollbackPackages, Values{"packages": []string{"salve-agent"}}, "packages", "Salve's own"},
		{"marker in a package", RollbackPackages, Values{"packages": []string{"a1"}, "marker": "m"}, "marker", "absolute"},
		{"no unit", Restart, Values{"unit": ""}, "unit", "no name"},
		{"no pool", ResetPool, nil, "", `needs "pool"`},
		{"slash at the end", Rollback, Values{"releases": "/r/"}, "releases", "a slash at the end"},
		{"no releases", Rollback, nil, "", `needs "releases"`},
		{"no units", Rollback, Values{"releases": "/r", "units": []string{}}, "units", "names no service"},
		{"no marker", Rollback, Values{"releases": "/r", "marker": ""}, "marker", "name of a file"},
		{"marker elsewhere", Rollback, Values{"releases": "/r", "marker": ".."}, "marker", "name of a file"},
		{"empty pool", ResetPool, Values{"pool": ""}, "pool", "no name"},
		{"no victims", Shed, Values{"by": "cpu", "how": "stop"}, "", `needs "victims"`},
		{"empty victims", Shed, Values{"victims": []string{}, "by": "cpu", "how": "stop"}, "victims", "from 1 to 32"},
		{"any unit", Shed, Values{"victims": []string{"a*"}, "by": "cpu", "how": "stop"}, "victims", "only services"},
		{"a slice", Shed, Values{"victims": []string{"a.slice"}, "by": "cpu", "how": "stop"}, "victims", "only services"},
		{"shed by io", Shed, Values{"victims": []string{"a.service"}, "by": "io", "how": "stop"}, "by", "none of"},
		{"how", Shed, Values{"victims": []string{"a.service"}, "by": "cpu", "how": "ask"}, "how", "none of"},
		{"stop with a limit", Shed, Values{"victims": []string{"a.service"}, "by": "cpu", "how": "stop", "limit": "1%"},
			"limit", "only a throttle"},
		{"throttle without", Shed, Values{"victims": []string{"a.service"}, "by": "cpu", "how": "throttle"}, "", "needs limit"},
		{"size of CPU", Shed, Values{"victims": []string{"a.service"}, "by": "cpu", "how": "throttle", "limit": "512M"},
			"limit", "CPUQuota takes"},
		{"no memory at all", Shed, Values{"victims": []string{"a.service"}, "by": "memory", "how": "throttle", "limit": "0M"},
			"limit", "systemd refuses"},
		{"no limit at all", Shed, Values{"victims": []string{"a.service"}, "by": "memory", "how": "throttle", "limit": "infinity"},
			"limit", "limits nothing"},
		{"no template", Scale, Values{"unit": "a@1.service", "by": 1, "max": 2}, "unit", "is no template"},
		{"glob of instances", Scale, Values{"unit": "a@*.service", "by": 1, "max": 2}, "unit", "is no template"},
		{"wrong template", Scale, Values{"unit": "a b@.service", "by": 1, "max": 2}, "unit", "does not allow"},
		{"neither by nor to", Scale, Values{"unit": "a@.service", "max": 2}, "", "either by or to"},
		{"by and to", Scale, Values{"unit": "a@.service", "by": 1, "to": 1, "max": 2}, "", "either by or to"},
		{"by nothing", Scale, Values{"unit": "a@.service", "by": 0, "max": 2}, "by", "nothing would change"},
		{"no max", Scale, Values{"unit": "a@.service", "by": 1}, "", `needs "max"`},
		{"min above max", Scale, Values{"unit": "a@.service", "by": 1, "min": 3, "max": 2}, "min", "above max"},
		{"balancer without a server", Scale, Values{"unit": "a@.service", "by": 1, "max": 2, "balancer": "b"}, "", `such as "worker%i"`},
		{"one server for all", Scale, Values{"unit": "a@.service", "by": 1, "max": 2, "balancer": "b", "server": "a"}, "server", `not "a"`},
		{"server that is none", Scale, Values{"unit": "a@.service", "by": 1, "max": 2, "balancer": "b", "server": "a %i"}, "server", `not "a %i"`},
		{"no balancer", Scale, Values{"unit": "a@.service", "by": 1, "max": 2, "server": "a%i"}, "server", "there is none"},
		{"wait for nothing", Scale, Values{"unit": "a@.service", "by": 1, "max": 2, "wait": time.Minute}, "wait", "there is none"},
		{"empty balancer", Scale, Values{"unit": "a@.service", "by": 1, "max": 2, "balancer": "", "server": "a%i"}, "balancer", "no name"},
		{"to above max", Scale, Values{"unit": "a@.service", "to": 3, "max": 2}, "to", "must lie from"},
		{"mode", ResetPool, Values{"pool": "a", "mode": "flush"}, "mode", "none of reconnect, pause, kill, terminate, drain, call"},
		{"another mode's argument", ResetPool, Values{"pool": "a", "mode": "kill", "wait": time.Second}, "wait", "does not read wait"},
		{"any session", ResetPool, Values{"pool": "a", "mode": "terminate", "most": 5}, "", "never ends just any session"},
		{"any session, in words", ResetPool, Values{"pool": "a", "mode": "terminate", "idle_in_transaction": false}, "", "never ends just"},
		{"user without a name", ResetPool, Values{"pool": "a", "mode": "terminate", "user": "", "older_than": time.Hour}, "user", "is empty"},
		{"no server", ResetPool, Values{"pool": "a", "mode": "drain"}, "", "the name of one server"},
		{"wait for a call", ResetPool, Values{"pool": "a", "mode": "call", "wait": time.Second}, "wait", "does not read wait"},
		{"no group", ScaleGroup, Values{"by": 1, "max": 2}, "", `needs "group"`},
		{"empty group", ScaleGroup, Values{"group": "", "by": 1, "max": 2}, "group", "no name"},
		{"group without a number", ScaleGroup, Values{"group": "a", "max": 2}, "", "either by or to"},
		{"group without a bound", ScaleGroup, Values{"group": "a", "by": 1}, "", `needs "max"`},
		{"no dump", Dump, nil, "", `needs "how"`},
		{"dump by a signal", Dump, Values{"how": "quit"}, "how", "none of threads, stacks, core, http"},
		{"large stacks", Dump, Values{"how": "stacks", "max_mib": 65}, "max_mib", "only a core"},
		{"samples of a core", Dump, Values{"how": "core", "samples": 2}, "samples", "only threads"},
		{"no page", Dump, Values{"how": "http"}, "", "needs url"},
		{"page of threads", Dump, Values{"how": "threads", "url": "http://127.0.0.1/"}, "url", "only http"},
		{"samples of a page", Dump, Values{"how": "http", "url": "http://127.0.0.1/", "samples": 2}, "samples", "only threads"},
		{"page of others", Dump, Values{"how": "http", "url": "http://192.0.2.1/"}, "url", "is not 127.0.0.1"},
		{"page by a name", Dump, Values{"how": "http", "url": "http://localhost/"}, "url", "is not 127.0.0.1"},
		{"file", Dump, Values{"how": "http", "url": "file:///etc/passwd"}, "url", "not an http:// URL"},
		{"no URL", Dump, Values{"how": "http", "url": "http://%"}, "url", "not a URL"},
		{"password", Dump, Values{"how": "http", "url": "http://a:b@127.0.0.1/"}, "url", "password"},
		{"two servers", ResetPool, Values{"pool": "a", "mode": "drain", "server": "a; shutdown sessions server web/b"}, "server", "one server"},
	} {
		_, problems := spec(t, c.kind).Decode(c.values)
		if len(problems) != 1 || problems[0].Arg != c.arg || !strings.Contains(problems[0].Text, c.text) {
			t.Errorf("%s: %+v", c.name, problems)
		}
	}
}

func TestCheckUnitName(t *testing.T) {
	for name, want := range map[string]bool{
		"a.service": true, "a@1.service": true, `dev-disk-by\x2duuid.mount`: true, "-.slice": true,
		"a": false, ".service": false, "a@.service": false, "a b.service": false, "a/b.service": false,
		"é.service": false, "a*.service": false, strings.Repeat("a", 250) + ".service": false, "": false,
	} {
		if text := CheckUnitName(name, false); (text == "") != want {
			t.Errorf("%q: %q", name, text)
		}
	}
	for glob, want := range map[string]bool{
		"a*.service": true, "*": true, "a@*": true, "a[bc].service": true, "a.service": true,
		"a[.service": false, "a*": true, "a*b": false, "a@.service": false,
	} {
		if text := CheckUnitName(glob, true); (text == "") != want {
			t.Errorf("glob %q: %q", glob, text)
		}
	}
}

// What only shifts capacity, or gives it back, is not disruptive; what nobody knows is.
func TestRisk(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		args       Args
		disruptive bool
	}{
		{Start, &UnitArgs{}, false},
		{Reload, &UnitArgs{}, false},
		{ResetPool, &PoolArgs{Mode: "reconnect"}, false},
		{ResetPool, &PoolArgs{Mode: "pause"}, true},
		{ResetPool, &PoolArgs{Mode: "kill"}, true},
		{ResetPool, &PoolArgs{Mode: "terminate"}, true},
		{ResetPool, &PoolArgs{Mode: "drain"}, true},
		{Restart, &UnitArgs{}, true},
		{Stop, &UnitArgs{}, true},
		{Kill, &KillArgs{}, true},
		{Isolate, &IsolateArgs{}, true},
		{Exec, &ExecArgs{}, true},
		{Scale, &ScaleArgs{Count: Count{By: 2}}, false},
		{Scale, &ScaleArgs{Count: Count{By: -2}}, true},
		{Scale, &ScaleArgs{Count: Count{To: 2}}, true},
		{ScaleGroup, &GroupArgs{Count: Count{By: 2}}, false},
		{ScaleGroup, &GroupArgs{Count: Count{To: 2}}, true},
		{SetProperty, &PropertyArgs{Properties: map[string]string{"CPUWeight": "10"}}, false},
		{SetProperty, &PropertyArgs{Properties: map[string]string{"CPUQuota": "20%"}}, true},
		{SetProperty, &PropertyArgs{Properties: map[string]string{"CPUQuota": "", "MemoryMax": "infinity"}}, false},
		{SetProperty, &PropertyArgs{Properties: map[string]string{"CPUWeight": "10", "MemoryMax": "1G"}}, true},
		{SetProperty, &PropertyArgs{Properties: map[string]string{"Unheard": "1"}}, true},
	} {
		disruptive, shared := spec(t, c.kind).Risk(c.args)
		if disruptive != c.disruptive || shared != (c.kind == ScaleGroup) {
			t.Errorf("%s %+v: disruptive %v, shared %v", c.kind, c.args, disruptive, shared)
		}
	}
}

func TestWant(t *testing.T) {
	for _, c := range []struct {
		Count
		have, want int
	}{
		{Count{By: 2, Min: 1, Max: 8}, 3, 5}, {Count{By: 9, Min: 1, Max: 8}, 3, 8}, {Count{By: 2, Min: 1, Max: 8}, 9, 9},
		{Count{By: 1, Min: 5, Max: 8}, 1, 5}, {Count{By: -2, Min: 1, Max: 8}, 5, 3}, {Count{By: -9, Min: 2, Max: 8}, 5, 2},
		{Count{By: -1, Min: 2, Max: 8}, 1, 1}, {Count{By: -1, Min: 1, Max: 8}, 20, 8}, {Count{To: 4, Min: 1, Max: 8}, 9, 4},
		{Count{To: 4, Min: 1, Max: 8}, 4, 4},
	} {
		if got := c.Want(c.have); got != c.want {
			t.Errorf("%+v of %d: %d, want %d", c.Count, c.have, got, c.want)
		}
	}
}

func TestFill(t *testing.T) {
	facts := map[string]string{"count": "3", "version": `"a"`}
	for text, want := range map[string]string{
		`{"n": ${count}, "v": ${version}}`: `{"n": 3, "v": "a"}`, "$${count} $5 $": "${count} $5 $", "": "", "${count}${count}": "33",
	} {
		if got, err := Fill(text, facts); got != want || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"${host}", "${", "${count", "${}"} {
		if got, err := Fill(text, facts); err == nil || !strings.Contains(err.Error(), "there are count, version") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func TestCanUndo(t *testing.T) {
	undoable := []Kind{Stop, SetProperty, Scale, ScaleGroup, Shed, Isolate, Rollback, RollbackFiles, RollbackPackages}
	for _, s := range Specs() {
		args, _ := s.Decode(nil)
		if got := s.CanUndo(args); got != slices.Contains(undoable, s.Kind) {
			t.Errorf("%s without arguments: %v", s.Kind, got)
		}
	}
	if !spec(t, Exec).CanUndo(&ExecArgs{Undo: []string{"/a"}}) {
		t.Error("exec with an undo cannot be undone")
	}
}

func TestPropertyForms(t *testing.T) {
	for name, values := range map[string][]string{
		"CPUQuota": {"20%", "150%", "12.5%", ""}, "CPUWeight": {"1", "10000", "idle"}, "AllowedCPUs": {"0-2,5", "1 3", ""},
		"MemoryMax": {"512M", "1G", "20%", "infinity", "1048576"}, "TasksMax": {"100", "20%", "infinity"},
		"IOWeight": {"100"}, "MemorySwapMax": {"0"}, "MemoryLow": {"0", "0%"},
	} {
		for _, v := range values {
			if text := checkProperty(name, v); text != "" {
				t.Errorf("%s=%s: %s", name, v, text)
			}
		}
	}
	for name, values := range map[string][]string{
		"CPUQuota": {"20", "-5%", "%", "0%"}, "CPUWeight": {"0", "a"}, "MemoryMax": {"", "1X", "lots", "101%", "0", "0.0%", "00K"},
		"MemoryHigh": {"0%"}, "TasksMax": {"0", "0%"}, "IOWeight": {"idle", ""},
	} {
		for _, v := range values {
			if checkProperty(name, v) == "" {
				t.Errorf("%s=%q is taken", name, v)
			}
		}
	}
}

// Which unit's drop-ins a folder has is plain from its path, and nothing else leads to unit files, or to what is Salve's own.
func TestCheckReach(t *testing.T) {
	for folder, unit := range map[string]string{
		"/etc/systemd/system/a.service.d": "a.service", "/run/systemd/system/a@1.service.d": "a@1.service",
		"/usr/local/lib/systemd/system/a.timer.d": "a.timer", "/etc/systemd/system": "", "/etc/systemd/system/a.service": "",
		"/etc/systemd/system/a.service.d/x.d": "", "/usr/lib/systemd/system/a.service.d": "", "/etc/systemd/system/*.service.d": "",
		"/etc/systemd/system/a.service.wants": "", "/etc/nginx/a.service.d": "",
	} {
		if got := DropIn(folder); got != unit {
			t.Errorf("%s has drop-ins of %q, want %q", folder, got, unit)
		}
	}
	for glob, text := range map[string]string{
		"/etc/nginx *.conf": "", "/etc/systemd/system/a.service.d *.conf": "", "/etc systemd/*.conf": "", "/etc */x.conf": "Salve's own",
		"/etc salve/agent.hcl": "Salve's own", "/etc/salve rules.d/*": "Salve's own", "/var/lib s*/*": "Salve's own",
		"/etc/systemd */*": "unit files", "/etc systemd/system/a.service": "unit files", "/etc systemd/sys*/a.service.d/*": "unit files",
		"/etc/systemd/system *": "unit files", "/etc/systemd/system/a.service.d x/*": "unit files", "/etc polkit-1/rules.d/*": "Salve's own",
		"/etc/systemd/system a.service.d/*.conf": "unit files", "/usr/lib/systemd/system/a.service.d *": "unit files", "/ etc/salve/*": "Salve's own",
		"/etc/systemd/system/salve-agent.service.d *.conf": "Salve's own",
	} {
		folder, files, _ := strings.Cut(glob, " ")
		if got := CheckReach(folder, files); (got == "") != (text == "") || !strings.Contains(got, text) {
			t.Errorf("%s: %q", glob, got)
		}
	}
}

// TestPackagesArgs: each package is one that an allow block must name, and brings a file that says that there is no way back.
func TestPackagesArgs(t *testing.T) {
	a := &PackagesArgs{Packages: []string{"shop", "common"}, Return: Return{Units: []string{"a.service"}}}
	want := []Part{{Kind: Restart, Name: "a.service"}, {Kind: RollbackPackages, Name: "common"}}
	if got := Parts(a); a.Names() != "shop" || !slices.Equal(got, want) {
		t.Errorf("it acts on %q, and on %v", a.Names(), got)
	}
	if got := a.Markers(); !slices.Equal(got, []string{"/usr/share/shop/.no-rollback", "/usr/share/common/.no-rollback"}) {
		t.Errorf("markers are %q", got)
	}
	if a.Marker = "/m"; !slices.Equal(a.Markers(), []string{"/m"}) {
		t.Errorf("markers are %q", a.Markers())
	}
	if none := (&PackagesArgs{}); none.Names() != "" || len(Parts(none)) > 0 || len(none.Markers()) > 0 {
		t.Errorf("no packages are %q", none.Names())
	}
}
