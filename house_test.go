// Package salve_test keeps the rules of the house: what may import what, and one choke point per danger.
package salve_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/salveops/salve"

// source is one Go file of the module that goes into a program.
type source struct {
	dir     string // below the module's root, "agent/internal/act"
	file    *ast.File
	set     *token.FileSet
	imports map[string]string // local name → import path
}

// sources parses every file of the module but tests, which may do to their own processes what they like.
func sources(t *testing.T) []source {
	t.Helper()
	const root = "."
	var found []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if d.IsDir() {
			return skip(root, rel, d)
		}
		built, _ := build.Default.MatchFile(filepath.Dir(name), d.Name())
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || !built {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		found = append(found, source{filepath.ToSlash(filepath.Dir(rel)), file, set, importsOf(file)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found %d files: this test looks in the wrong place", len(found))
	}
	return found
}

func skip(root, rel string, d fs.DirEntry) error {
	name := d.Name()
	if rel == "." {
		return nil
	}
	_, err := os.Stat(filepath.Join(root, rel, "go.mod"))
	if err == nil || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return fs.SkipDir
	}
	return nil
}

func importsOf(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, i := range file.Imports {
		where, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(where)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = where
	}
	return names
}

// uses calls f for every selector x.Name of the file; where is the import path that x stands for, or "".
func (s source) uses(f func(where, name string, at token.Position)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			where := ""
			if x, ok := sel.X.(*ast.Ident); ok {
				where = s.imports[x.Name]
			}
			f(where, sel.Sel.Name, s.set.Position(sel.Pos()))
		}
		return true
	})
}

// below reports whether dir is one of the folders or inside one of them; "./" before a folder means itself only.
func below(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		own, alone := strings.CutPrefix(f, "./")
		return dir == own || !alone && strings.HasPrefix(dir, f+"/")
	})
}

// choke is one danger that only a few folders may touch.
type choke struct {
	reason  string
	allowed []string
	imports []string            // import paths; also what is below them
	symbols map[string][]string // import path → names
	methods []string            // names of methods, whatever they are called on: none of them is common
}

// stages are where processes are started on purpose: never in a program that is installed.
var stages = []string{"agent/agenttest", "controller/controllertest", "packaging/lab", "packaging/pack"}

func chokes() []choke {
	act := append([]string{"agent/internal/act"}, stages...)
	return []choke{
		{
			reason: "only agent/internal/act may start programs: it checks the host's allow blocks and bounds time and output",
			// The operator's CLI runs the command that `salve agent pause UNIT -- COMMAND` wraps, as the operator.
			allowed: append([]string{"controller/internal/cli"}, act...),
			imports: []string{"os/exec"},
			symbols: map[string][]string{
				"os":                    {"StartProcess"},
				"syscall":               {"ForkExec", "StartProcess", "Exec"},
				"golang.org/x/sys/unix": {"Exec"},
			},
		},
		{
			reason:  "only agent/internal/act may send signals: it guards against process 0, 1 and the wrong process",
			allowed: act,
			symbols: map[string][]string{
				"os":                    {"FindProcess"},
				"syscall":               {"Kill", "Tgkill", "Setpriority"},
				"golang.org/x/sys/unix": {"Kill", "Tgkill", "PidfdSendSignal", "Setpriority"},
			},
		},
		{
			reason: "only agent/internal/order changes units, in the words of one table, for those two who may give orders; " +
				"the helper makes and ends the timers of limits beside that",
			allowed: append([]string{"agent/internal/order", "agent/internal/helper"}, stages...),
			methods: []string{
				"StartUnit", "StartUnitContext", "StopUnit", "StopUnitContext", "RestartUnit", "RestartUnitContext",
				"TryRestartUnit", "TryRestartUnitContext", "ReloadUnit", "ReloadUnitContext", "ReloadOrRestartUnit",
				"ReloadOrRestartUnitContext", "ReloadOrTryRestartUnit", "ReloadOrTryRestartUnitContext",
				"StartTransientUnit", "StartTransientUnitContext", "StartTransientUnitAux", "KillUnit",
				"KillUnitContext", "KillUnitWithTarget", "ResetFailedUnit", "ResetFailedUnitContext",
				"SetUnitProperties", "SetUnitPropertiesContext", "MaskUnitFiles", "MaskUnitFilesContext",
				"UnmaskUnitFiles", "UnmaskUnitFilesContext", "EnableUnitFiles", "EnableUnitFilesContext",
				"DisableUnitFiles", "DisableUnitFilesContext", "LinkUnitFiles", "LinkUnitFilesContext",
				"FreezeUnit", "ThawUnit", "ReloadContext", "AttachProcessesToUnit",
			},
		},
		{
			reason: "only act gives orders to change units: it writes the intent down first and lets people win; the helper " +
				"carries out what the list permits that root made",
			allowed: append([]string{"agent/internal/helper"}, act...),
			imports: []string{module + "/agent/internal/order"},
		},
		{
			reason:  "the helper is root: act is its only client, its own program runs it, and polkit makes its list",
			allowed: append([]string{"agent/cmd/salve-agent-helper", "agent/internal/polkit", "./agent"}, act...),
			imports: []string{module + "/agent/internal/helper"},
		},
		{
			reason: "only agent/internal/systemd may speak D-Bus, order through it, and reboot with logind: a raw call could be any call",
			allowed: append([]string{"agent/internal/systemd", "agent/internal/order", "agent/internal/helper",
				"agent/internal/act/reboot"}, stages...),
			imports: []string{"github.com/coreos/go-systemd/v22/dbus", "github.com/godbus/dbus/v5"},
		},
		{
			reason:  "only act may change pools, caches and databases, and observe may look at them",
			allowed: append([]string{"agent/internal/observe", "agent/internal/postgres", "agent/internal/redis"}, act...),
			imports: []string{"github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9", module + "/agent/internal/postgres",
				module + "/agent/internal/redis"},
		},
		{
			reason: "only controller/internal/node runs Raft, fsm serves it, and arbiter alone proposes: whoever else could " +
				"would bring in what nobody judged or stamped",
			allowed: append([]string{"controller/internal/node", "controller/internal/fsm", "controller/internal/arbiter"}, stages...),
			imports: []string{"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb", "github.com/hashicorp/raft-wal"},
		},
		{
			reason:  "only the wiring of the controller holds the node, so that nobody proposes around the arbiter",
			allowed: append([]string{"./controller", "controller/internal/node"}, stages...),
			imports: []string{"github.com/salveops/salve/controller/internal/node"},
		},
		{
			reason:  "only agent/internal/act may change the packet filter",
			allowed: act,
			imports: []string{"github.com/google/nftables", "sigs.k8s.io/knftables"},
		},
	}
}

// TestChokePoints: each danger has one place where it is guarded, and no way around it.
func TestChokePoints(t *testing.T) {
	for _, s := range sources(t) {
		for _, c := range chokes() {
			if !below(s.dir, c.allowed...) {
				for _, found := range c.broken(s) {
					t.Errorf("%s: %s", found, c.reason)
				}
			}
		}
	}
}

func (c choke) broken(s source) []string {
	var found []string
	for _, i := range s.file.Imports {
		if where, _ := strconv.Unquote(i.Path.Value); below(where, c.imports...) {
			found = append(found, fmt.Sprintf("%s imports %s", s.set.Position(i.Pos()), where))
		}
	}
	s.uses(func(where, name string, at token.Position) {
		if slices.Contains(c.symbols[where], name) || slices.Contains(c.methods, name) {
			found = append(found, fmt.Sprintf("%s uses %s", at, name))
		}
	})
	return found
}

// TestChokePointsNotice: a guard that notices nothing is none.
func TestChokePointsNotice(t *testing.T) {
	const text = `package x
import (
	"os/exec"
	kill "syscall"
	"golang.org/x/sys/unix"
	"github.com/godbus/dbus/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"sigs.k8s.io/knftables"
	"github.com/hashicorp/raft"
	"github.com/salveops/salve/controller/internal/node"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/helper"
)
func f(c interface{ RestartUnitContext() }) {
	exec.Command("x"); kill.Kill(1, 9); unix.Kill(1, 9); c.RestartUnitContext()
	_, _, _ = dbus.SystemBus, pgconn.Connect, knftables.New
}`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "x.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s := source{"agent/internal/heal", file, set, importsOf(file)}
	for _, c := range chokes() {
		if len(c.broken(s)) == 0 {
			t.Errorf("nothing is found that breaks this rule: %s", c.reason)
		}
	}
}

// TestHelperIsSmall: what runs as root is so little that one can read it. A parser of configurations, a server for the
// network, or a database is not in it, by whatever way.
func TestHelperIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./agent/cmd/salve-agent-helper").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ours int
	for line := range strings.Lines(string(out)) {
		where := strings.TrimSpace(line)
		if below(where, "google.golang.org", "github.com/hashicorp/hcl", "go.etcd.io", "net/http", "crypto/tls",
			module+"/pkg/config", module+"/proto", module+"/agent/internal/act") {
			t.Errorf("the helper has %s in it", where)
		}
		if below(where, module) {
			ours++
		}
	}
	if ours < 5 || ours > 12 {
		t.Errorf("the helper is made of %d packages of ours, want a handful", ours)
	}
}

// TestImportDirection: proto lies at the bottom, pkg above it, agent and controller stand side by side and
// do not see each other, and what is in packaging stands on top.
func TestImportDirection(t *testing.T) {
	rules := []struct {
		from, reason string
		never        []string
	}{
		{"proto", "proto is the bottom: it is generated and knows nobody",
			[]string{"pkg", "agent", "controller", "packaging"}},
		{"pkg", "pkg lies below both programs", []string{"agent", "controller", "packaging"}},
		{"agent", "agent and controller meet on the wire only", []string{"controller", "packaging"}},
		{"controller", "agent and controller meet on the wire only", []string{"agent", "packaging"}},
	}
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			where, _ := strconv.Unquote(i.Path.Value)
			to, ours := strings.CutPrefix(where, module+"/")
			for _, r := range rules {
				if ours && below(s.dir, r.from) && below(to, r.never...) {
					t.Errorf("%s imports %s: %s", s.set.Position(i.Pos()), to, r.reason)
				}
			}
		}
	}
}
