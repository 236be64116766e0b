package salve_test

import (
	"go/ast"
	"path"
	"slices"
	"testing"
)

// measured are the files that may read time.Now: they take the difference of two readings, which no wall clock moves,
// or make a moment at which something ends from one.
var measured = map[string][]string{
	"how long something took": {
		"agent/internal/act/program/run.go", "agent/internal/heal/unit.go", "agent/internal/observe/evidence/process.go",
		"agent/internal/observe/host/disk.go", "agent/internal/observe/host/host.go",
		"agent/internal/observe/log/watcher.go", "agent/internal/observe/outside/outside.go",
		"agent/internal/observe/pool/pool.go", "agent/internal/observe/probe/line.go",
		"agent/internal/observe/probe/plain.go", "agent/internal/observe/query/query.go",
		"agent/internal/observe/scrape/scrape.go",
		"agent/internal/observe/statsd/receiver.go", "agent/internal/observe/unit/sampler.go",
		"controller/internal/arbiter/line.go", "controller/internal/cli/test.go", "controller/internal/cli/wrap.go",
	},
	"how long ago something was": {
		"agent/internal/observe/pool/console.go", "controller/internal/node/contact.go",
		"controller/internal/node/guard.go", "controller/internal/node/member.go", "controller/internal/node/node.go",
		"controller/internal/notify/deliver.go", "controller/renewal.go",
	},
	"when to try again": {
		"agent/internal/escalate/loop.go", "agent/internal/release/packages.go", "controller/internal/agentapi/push.go",
		"controller/internal/notify/alarm.go",
		"pkg/transport/flood.go",
	},
	"when to give up": {
		"agent/internal/helper/server.go", "agent/internal/journal/lock.go", "controller/internal/adminapi/raft.go",
		"controller/internal/cli/node.go", "controller/internal/node/line.go", "controller/internal/web/api.go",
		"controller/reload.go",
	},
}

// helpers of tests live in processes that have no wall clock of their own.
var helpers = append([]string{"packaging", "controller/internal/arbiter/arbitertest"}, stages...)

// TestWallClock: what depends on the time of day asks pkg/clock for it, so that a test of whole hosts can set it.
func TestWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		if s.dir == "pkg/clock" || below(s.dir, helpers...) {
			continue
		}
		name := path.Join(s.dir, path.Base(s.set.Position(s.file.Pos()).Filename))
		for _, at := range s.clockReads() {
			used[name] = true
			if !at.called || !mayMeasure(name) {
				t.Errorf("%s: the time of day comes from clock.Wall, or from a clock.Clock; a file that only measures stands "+
					"in the list of this test, and hands time.Now to nobody", s.set.Position(at.pos.Pos()))
			}
		}
	}
	for _, files := range measured {
		for _, f := range files {
			if !used[f] {
				t.Errorf("%s does not read time.Now any more: take it off the list", f)
			}
		}
	}
}

func mayMeasure(name string) bool {
	for _, files := range measured {
		if slices.Contains(files, name) {
			return true
		}
	}
	return false
}

// clockRead is one use of time.Now or time.Until.
type clockRead struct {
	pos    ast.Node
	called bool // and not handed on
}

func (s source) clockReads() (found []clockRead) {
	called := map[ast.Node]bool{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CallExpr:
			called[x.Fun] = true
		case *ast.SelectorExpr:
			of, ok := x.X.(*ast.Ident)
			if ok && s.imports[of.Name] == "time" && (x.Sel.Name == "Now" || x.Sel.Name == "Until") {
				found = append(found, clockRead{x, called[x]})
			}
		}
		return true
	})
	return found
}
