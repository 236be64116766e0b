package rollback_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/rollback"
	"github.com/salveops/salve/agent/internal/release"
)

const killedEnv = "ROLLBACK_TEST_KILLED"

// TestKilled kills processes at whatever moment while they let the link lead back and forth: it leads to one of the two,
// always.
func TestKilled(t *testing.T) {
	root := t.TempDir()
	link, releases := filepath.Join(root, "current"), filepath.Join(root, "releases")
	if dir := os.Getenv(killedEnv); dir != "" {
		backAndForth(filepath.Join(dir, "current"), filepath.Join(dir, "releases"))
	}
	for _, name := range []string{"1", "2"} {
		if err := os.MkdirAll(filepath.Join(releases, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("releases/1", link); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i := range 10 {
		look := func() {
			text, err := os.Readlink(link)
			if seen[text]++; err != nil {
				t.Fatal(err)
			}
		}
		acttest.Kill(t, "TestKilled", killedEnv+"="+root, time.Duration(i)*3*time.Millisecond+10*time.Millisecond, look)
		look()
	}
	if len(seen) != 2 || seen["releases/1"] == 0 || seen["releases/2"] == 0 {
		t.Errorf("the link said %v", seen)
	}
}

// backAndForth never ends. It is the process that TestKilled kills.
func backAndForth(link, releases string) {
	for i := 0; ; i++ {
		p, err := release.Open(link, releases)
		if err != nil {
			panic(err)
		}
		now, err := p.Current()
		if err != nil {
			panic(err)
		}
		name := map[string]string{"1": "2", "2": "1"}[now.Name()]
		to, err := p.Find(filepath.Join(releases, name))
		if err != nil {
			panic(err)
		}
		p.Close()
		if _, err := rollback.Flip(link, releases, rollback.Version{Release: now.Release, Text: now.Text}, rollback.Version{Release: to, Text: "releases/" + name}); err != nil {
			panic(err)
		}
		if i == 0 {
			os.Stdout.WriteString("x")
		}
	}
}
