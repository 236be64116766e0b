package rollback

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

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
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killedEnv+"="+root)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Duration(i)*3*time.Millisecond + 10*time.Millisecond); time.Now().Before(end); {
			text, err := os.Readlink(link)
			if seen[text]++; err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		text, err := os.Readlink(link)
		if seen[text]++; err != nil {
			t.Fatal(err)
		}
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
		if _, err := flip(link, releases, version{now.Release, now.Text}, version{to, "releases/" + name}); err != nil {
			panic(err)
		}
		if i == 0 {
			os.Stdout.WriteString("x")
		}
	}
}
