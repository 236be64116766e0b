package acttest

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// Kill runs a test of this program once more, with env in its environment, and kills that process so long after it has written
// the first byte. Until then look is called over and over.
func Kill(t testing.TB, test, env string, after time.Duration, look func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	c := Clock(t)
	for end := c.Now().Boot + after; c.Now().Boot < end; {
		look()
	}
}
