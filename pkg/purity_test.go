// Package pkg holds nothing but the rules that all packages below it keep.
package pkg

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure are the packages that only compute: what they decide depends on nothing but what they are given.
var pure = []string{
	"anomaly", "signal", "series", "metric", "exposition", "expr", "rule", "remedy", "healing", "care", "script", "recording",
	"simulate", "slo", "incident", "permit", "identity", "jsonpath", "otlp", "wire", "../controller/internal/state",
}

// impure are the imports that a pure package must not have, with everything below them.
var impure = []struct{ path, reason string }{
	{"os", "a decision must not depend on files, environment or processes of this host"},
	{"net", "a decision must not depend on the network"},
	{"syscall", "a decision must not depend on this host's kernel"},
	{"golang.org/x/sys", "a decision must not depend on this host's kernel"},
	{"math/rand", "the same facts must give the same decision; jitter comes in with the facts"},
	{"crypto/rand", "the same facts must give the same decision; identifiers come in with the facts"},
	{"io/ioutil", "a decision must not depend on files of this host"},
	{"github.com/coreos/go-systemd", "systemd is watched and told what to do by the agent, not by decisions"},
	{"github.com/godbus/dbus", "D-Bus is spoken by the agent, not by decisions"},
	{"github.com/shirou/gopsutil", "the host is sampled by the agent; decisions get the samples"},
	{"go.etcd.io/bbolt", "records are kept by the agent's journal"},
	{"google.golang.org/grpc", "a decision must not depend on the network"},
	{"github.com/salveops/salve/agent", "pkg sits below both programs"},
	{"github.com/salveops/salve/controller", "pkg sits below both programs, and the state below the rest of the controller"},
}

const clockReason = "time comes in as an argument, so that tests and replays, on any host, give the same answer"

// clocks are the functions that read a clock or wait for it, by import path.
var clocks = map[string][]string{
	"time": {
		"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
	},
	"github.com/salveops/salve/pkg/clock": {"System", "Now", "Wall"},
}

func TestPurePackagesKnowNoClockAndNoHost(t *testing.T) {
	for _, name := range pure {
		files := sources(t, name)
		if len(files) == 0 {
			t.Errorf("pkg/%s has no Go files: if it moved, say so in this test", name)
		}
		for _, file := range files {
			checkImports(t, file)
			checkClocks(t, file)
		}
	}
}

// TestAlone: what CI tests without the race detector begins nothing, so that there is nothing to race with.
func TestAlone(t *testing.T) {
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "\nALONE    := $(addprefix ./pkg/,")
	list, more, _ := strings.Cut(strings.SplitN(list, "\n", 2)[0], ")")
	packages := strings.Fields(list)
	for _, name := range strings.Fields(more) {
		packages = append(packages, "."+name)
	}
	if len(packages) < 5 {
		t.Fatalf("the Makefile lists %q", packages)
	}
	for _, name := range packages {
		for _, file := range sources(t, name) {
			ast.Inspect(file.tree, func(n ast.Node) bool {
				if begun, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s: it is tested without the race detector; take pkg/%s off ALONE in the Makefile", file.set.Position(begun.Pos()), name)
				}
				return true
			})
		}
	}
}

// HCL's syntax tree changes with HCL, and it is easy to read a condition in two ways.
func TestOnlyExprKnowsTheSyntaxTree(t *testing.T) {
	const tree = "github.com/hashicorp/hcl/v2/hclsyntax"
	for _, file := range sources(t, "..") {
		if filepath.Base(filepath.Dir(file.name)) == "expr" {
			continue
		}
		if _, ok := file.imports()[tree]; ok {
			t.Errorf("%s imports %s: only pkg/expr may, so that a condition means one thing; use its helpers", file.name, tree)
		}
	}
}

type source struct {
	name string
	set  *token.FileSet
	tree *ast.File
}

// sources parses all Go files below a folder but tests.
func sources(t *testing.T, root string) []source {
	t.Helper()
	var files []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			hidden := strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2
			if hidden || entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		files = append(files, source{name, set, tree})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// imports maps the imported paths to the names that they have in the file.
func (s source) imports() map[string]string {
	names := map[string]string{}
	for _, spec := range s.tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler says more about it
		}
		names[p] = path.Base(p)
		if spec.Name != nil {
			names[p] = spec.Name.Name
		}
	}
	return names
}

// parsers only take texts apart, though they lie below what is impure.
var parsers = []string{"net/url", "net/netip"}

func checkImports(t *testing.T, file source) {
	t.Helper()
	for p, name := range file.imports() {
		for _, bad := range impure {
			if (p == bad.path || strings.HasPrefix(p, bad.path+"/")) && !slices.Contains(parsers, p) {
				t.Errorf("%s imports %s: %s", file.name, p, bad.reason)
			}
		}
		if _, watched := clocks[p]; watched && name == "." {
			t.Errorf("%s imports %s without a name, which hides its clocks from this test", file.name, p)
		}
	}
}

func checkClocks(t *testing.T, file source) {
	t.Helper()
	banned := map[string][]string{}
	for p, name := range file.imports() {
		banned[name] = clocks[p]
	}
	ast.Inspect(file.tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := sel.X.(*ast.Ident); ok && slices.Contains(banned[of.Name], sel.Sel.Name) {
			t.Errorf("%s uses %s.%s: %s", file.set.Position(sel.Pos()), of.Name, sel.Sel.Name, clockReason)
		}
		return true
	})
}
