package helper

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/order"
)

// TestAttacks: what somebody could try who owns the agent's user, and its answer. Nothing happens to any unit.
func TestAttacks(t *testing.T) {
	g := newRig(t, "a.service", sleeper, "b.service", sleeper, "never.service", sleeper,
		"masked.service", sleeper)
	list := everyVerb("a.service", "innocent.service", "never.service", "transient.service", "masked.service")
	list.Packages = []string{"allowed", "salve-*"}
	g.write(list.Text())
	// An alias that the list has, of a unit that it has not.
	if err := os.Symlink("b.service", filepath.Join(g.Units, "innocent.service")); err != nil {
		t.Fatal(err)
	}
	g.do("mask", "--runtime", "masked.service")
	g.do("daemon-reload")
	g.do("start", "a.service", "b.service", "never.service")
	g.transient("transient.service")
	var was []string
	units := []string{"a.service", "b.service", "never.service", "transient.service"}
	for _, u := range units {
		id, _ := g.Property(u, "InvocationID")
		was = append(was, id)
	}
	ask := func(verb, unit string) string { return `{"verb":"` + verb + `","unit":"` + unit + `"}` + "\n" }
	limit := func(property, value string) string {
		return `{"verb":"set-property","unit":"a.service","properties":{"` + property + `":{` + value +
			`}},"runtime":true}` + "\n"
	}
	packages := func(name, version, more string) string {
		return `{"verb":"install","unit":"","manager":"apt-get","packages":[{"name":"` + name + `","version":"` + version + `"}` + more + `]}` + "\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"unit outside of the list", ask("stop", "init.scope"), "the list permits no stop of init.scope"},
		{"unit by an alias that the list has", ask("restart", "innocent.service"), "permits no restart of b.service"},
		{"unit that is never touched", ask("stop", "never.service"), "permits no stop of never.service"},
		{"transient unit", ask("stop", "transient.service"), "transient.service is transient"},
		{"masked unit", ask("start", "masked.service"), "masked.service is masked"},
		{"unit without a file", ask("start", "a2.service"), "the list permits no start"},
		{"way up", ask("stop", "../a.service"), `no unit name`},
		{"path", ask("stop", "/run/systemd/system/a.service"), `no unit name`},
		{"glob", ask("stop", "*.service"), "is a glob"},
		{"NUL", "{\"verb\":\"stop\",\"unit\":\"a.service\x00\"}\n", "cannot be read"},
		{"NUL in disguise", ask("stop", `a.service\u0000`), "no unit name"},
		{"unknown verb", ask("mask", "a.service"), "there is no verb"},
		{"polkit's other verbs", ask("start-transient", "a.service"), "there is no verb"},
		{"property that nobody knows", limit("ExecStart", `"n":1`), "does not know the property"},
		{"property of the sandbox", limit("DevicePolicy", `"n":1`), "does not know the property"},
		{"value out of bounds", limit("CPUWeight", `"n":10001`), "cannot have that value"},
		{"mask for a number", limit("TasksMax", `"mask":"AQ=="`), "cannot have that value"},
		{"long mask", limit("AllowedCPUs", `"mask":"`+strings.Repeat("A", 1368)+`AAAA"`), "cannot have that value"},
		{"argument of another verb", `{"verb":"stop","unit":"a.service","runtime":true}` + "\n", "nothing but a unit"},
		{"signal that stops", `{"verb":"kill","unit":"a.service","signal":"SIGSTOP","whom":"main"}` + "\n", "no signal"},
		{"limit for ever", strings.Replace(limit("TasksMax", `"n":9`), "}\n", `,"for":9000000000000000000}`+"\n", 1),
			"a limit ends after"},
		{"no time", strings.Replace(limit("TasksMax", `"n":9`), "}\n", `,"for":-1}`+"\n", 1), "a limit ends after"},
		{"package outside of the list", packages("shop", "1", ""), "the list permits no install of shop"},
		{"package beside one of the list", packages("allowed", "1", `,{"name":"shop","version":"1"}`), "permits no install of shop"},
		{"package that is an option", packages("--purge", "1", ""), "no name of a package"},
		{"package that is a file", packages("./allowed.deb", "1", ""), "no name of a package"},
		{"version that removes", packages("allowed", "1-", ""), "no version"},
		{"version that is more", packages("allowed", "1 shop=1", ""), "no version"},
		{"package of another manager", strings.Replace(packages("allowed", "1", ""), "apt-get", "sh", 1), "no manager"},
		{"pattern of dnf", strings.Replace(packages("allowed", "1,*", ""), "apt-get", "dnf-3", 1), "no version"},
		{"package of which the list has but the beginning", strings.Replace(packages("allowed", "not-0:1-1", ""), "apt-get", "dnf-3", 1), "no version"},
		{"architecture of dnf", strings.Replace(packages("allowed", "1", ""), "apt-get", "dnf-3", 1), "no architecture"},
		{"Salve's own package", packages("salve-agent", "1", ""), "Salve's own"},
		{"packages and a unit", strings.Replace(packages("allowed", "1", ""), `"unit":""`, `"unit":"a.service"`, 1), "nothing but packages"},
		{"unknown word", `{"verb":"stop","unit":"a.service","mode":"replace"}` + "\n", "not written as"},
		{"word twice", `{"verb":"stop","unit":"a.service","unit":"b.service"}` + "\n", "not written as"},
		{"word in capitals", `{"verb":"stop","UNIT":"a.service"}` + "\n", "not written as"},
		{"two requests", ask("reload", "a.service") + ask("stop", "a.service"), "one request"},
		{"two in a line", `{"verb":"stop","unit":"a.service"}{"verb":"stop","unit":"a.service"}` + "\n", "cannot be read"},
		{"huge", strings.Repeat("x", maxRequest+100) + "\n", "longer than"},
		{"huge without an end", strings.Repeat("x", 10*maxRequest), "longer than"},
		{"half a line", `{"verb":"stop","unit":"a.service"}`, "no whole line"},
		{"nothing", "", "no whole line"},
		{"empty line", "\n", "cannot be read"},
		{"null", "null\n", "not written as"},
		{"deep", strings.Repeat("[", 4000) + "\n", "cannot be read"},
	} {
		got := g.say(c.text)
		if !strings.Contains(got, c.want) || got == "" || strings.Contains(got, "systemd refused") { // it is not even asked
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for i, u := range units {
		if id, _ := g.Property(u, "InvocationID"); id != was[i] || id == "" {
			t.Errorf("%s is another than before", u)
		}
	}
	if n := strings.Count(g.log.String(), "request: user="); n != 46 {
		t.Errorf("the log has %d requests:\n%s", n, g.log)
	}
	g.must(order.Order{Verb: order.Restart, Unit: "a.service"}) // and after all that it still works
}

// transient makes a unit as systemd-run does, which may have any name.
func (g *rig) transient(name string) {
	g.t.Helper()
	if err := startTransient(g.t, g.Address, name); err != nil {
		g.t.Fatal(err)
	}
	g.becomes(name, "ActiveState", "active")
}

// TestWrongUser: who is not one of the users is told so, before anything is read.
func TestWrongUser(t *testing.T) {
	g := serve(t, SystemBus, Options{Users: []uint32{uint32(os.Geteuid()) + 1}})
	g.refused(order.Order{Verb: order.Stop, Unit: "a.service"}, "may not ask")
	if !strings.Contains(g.log.String(), "may not ask") {
		t.Errorf("the log says nothing of it:\n%s", g.log)
	}
}

// TestListsOfOthers: a list that somebody else could have written permits nothing.
func TestListsOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(g *rig) error
		want  string
	}{
		"writable by all":  {func(g *rig) error { return os.Chmod(g.list, 0o646) }, "can be changed by others"},
		"folder for all":   {func(g *rig) error { return os.Chmod(filepath.Dir(g.list), 0o777) }, "can be changed by others"},
		"link":             {relink, "too many levels of symbolic links"},
		"folder":           {func(g *rig) error { return os.Mkdir(g.move(), 0o755) }, "is no plain file"},
		"missing":          {func(g *rig) error { return os.Remove(g.list) }, "no such file"},
		"empty":            {func(g *rig) error { return g.put("") }, "it does not begin with"},
		"cut off":          {cut, "its last line is not whole"},
		"line of another":  {func(g *rig) error { return g.put(title + "\nallow a.service\n") }, "it has the line"},
		"too long to read": {func(g *rig) error { return os.Truncate(g.list, maxList+1) }, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			g := serve(t, SystemBus, Options{})
			if err := c.spoil(g); err != nil {
				t.Fatal(err)
			}
			g.refused(order.Order{Verb: order.Stop, Unit: "a.service"}, "the list of what may be done is refused")
			g.refused(order.Order{Verb: order.Stop, Unit: "a.service"}, c.want)
		})
	}
}

// move puts the list aside and returns where it was.
func (g *rig) move() string {
	g.t.Helper()
	if err := os.Rename(g.list, g.list+".good"); err != nil {
		g.t.Fatal(err)
	}
	return g.list
}

func relink(g *rig) error { return os.Symlink(filepath.Base(g.list)+".good", g.move()) }

func cut(g *rig) error {
	text, err := os.ReadFile(g.list)
	if err != nil {
		return err
	}
	return g.put(string(text[:len(text)-4]))
}

func (g *rig) put(list string) error { return os.WriteFile(g.list, []byte(list), 0o644) }

// TestSlowWriters: who does not finish is cut off, and nobody waits for long because of him.
func TestSlowWriters(t *testing.T) {
	const long = 300 * time.Millisecond
	g := serve(t, SystemBus, Options{patience: long})
	began := time.Now()
	var slow []net.Conn
	for range 2 * atOnce {
		c, err := net.Dial("unix", g.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte(`{"verb":`))
		slow = append(slow, c)
	}
	g.refused(order.Order{Verb: order.Stop, Unit: "b.service"}, "") // behind all of them
	if took := time.Since(began); took < long {
		t.Errorf("it took %v: more than %d are looked at at once", took, atOnce)
	}
	for _, c := range slow {
		a, err := readAnswer(c)
		if err != nil || !strings.Contains(a.Error, "timeout") {
			t.Errorf("a slow writer is told %+v, %v", a, err)
		}
	}
}

// TestIdle: a helper that nobody needs ends; its socket stays systemd's.
func TestIdle(t *testing.T) {
	g := serve(t, SystemBus, Options{idle: 20 * time.Millisecond})
	select {
	case <-g.done:
	case <-time.After(20 * time.Second):
		t.Error("it runs although nobody asks")
	}
}
