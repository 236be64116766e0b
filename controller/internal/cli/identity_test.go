package cli_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestIdentity runs the transcripts of testdata/identity with the programs that are shipped, from the first file to a
// host that is shut out.
func TestIdentity(t *testing.T) {
	bin := buildController(t)
	agent := filepath.Join(filepath.Dir(bin), "salve-agent")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", agent, "github.com/salveops/salve/agent/cmd/salve-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build agent: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/identity",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("SUDO_USER", "ann")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("PATH", filepath.Dir(bin)+string(filepath.ListSeparator)+e.Getenv("PATH"))
			c := &cluster{bin: bin, dir: e.WorkDir, nodes: map[string]*controllerProcess{},
				net: fmt.Sprintf("127.%d.%d", 1+rand.IntN(250), rand.IntN(250))}
			e.Setenv("NET", c.net)
			e.Values[theCluster] = c
			e.Defer(c.stop)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"secure": secure, "await": await, "exits": exits, "keep": keep, "expand": expand,
		},
	})
}

// secure is `secure DIR`: it starts c1 with the files in a folder.
func secure(ts *testscript.TestScript, _ bool, args []string) {
	c := theClusterOf(ts)
	dir := ts.MkAbs(args[0])
	c.tls = fmt.Sprintf("tls {\n  ca = %q\n  cert = %q\n  key = %q\n  ca_key = %q\n}\n", filepath.Join(dir, "ca.pem"),
		filepath.Join(dir, "c1.pem"), filepath.Join(dir, "c1-key.pem"), filepath.Join(dir, "ca-key.pem"))
	ts.Check(c.start("c1", 1, 1))
}

// keep is `keep FILE`: it puts what the last command said into a file.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile("stdout")), 0o600))
}

// expand is `expand FILE…`: it puts the working folder where a file says $WORK.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), "$WORK", ts.Getenv("WORK"))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
