package agenttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/salveops/salve/pkg/require"
)

// Prometheus starts a Prometheus with that configuration, and more flags, for a test, and stops it at its end. It returns
// the address, http://host:port, once queries are answered there.
func Prometheus(t testing.TB, config string, flags ...string) string {
	t.Helper()
	program := findProgram("/usr/bin/prometheus")
	Require(t, "Prometheus", program != "", "install the package prometheus")
	dir, address := t.TempDir(), require.Port(t)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := spawn(exec.Command(program, append(flags, "--config.file="+file, "--storage.tsdb.path="+dir,
		"--web.listen-address="+address, "--log.level=error")...), syscall.SIGKILL)
	if err != nil {
		t.Fatalf("start Prometheus: %v", err)
	}
	t.Cleanup(p.kill)
	if err := p.answers(func(ctx context.Context) error { return ready(ctx, "http://"+address+"/-/ready") }); err != nil {
		t.Fatalf("start Prometheus: %v", err)
	}
	return "http://" + address
}

func ready(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}
