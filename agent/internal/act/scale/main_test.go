package scale_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		fmt.Fprintln(os.Stderr, work(os.Args[2]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// work is what an instance does behind a balancer: it answers with the name of its socket, and under /slow only when there
// is a file "release" beside that; a file "asked" says that it is at that. While there is a file "ill" its health is not good.
func work(socket string) error {
	dir := filepath.Dir(socket)
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if there("ill") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_ = os.WriteFile(filepath.Join(dir, "asked"), nil, 0o600)
		agenttest.Poll(time.Minute, func() bool { return there("release") })
		_, _ = io.WriteString(w, filepath.Base(socket))
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, filepath.Base(socket)) })
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return err
	}
	return http.Serve(l, nil)
}
