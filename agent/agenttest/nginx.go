package agenttest

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// CachingProxy is a real nginx that keeps what it fetches, with a server behind it, both without any TCP port.
type CachingProxy struct {
	// Folder is that of its cache, whose keys are the paths of requests.
	Folder string
	// Fetched is how often the server behind it was asked.
	Fetched atomic.Int64

	process *process
	client  *http.Client
}

// Nginx starts an nginx for a test, and stops it at its end.
func Nginx(t testing.TB) *CachingProxy {
	t.Helper()
	program := findProgram("/usr/sbin/nginx")
	Require(t, "nginx", program != "", "install the package nginx")
	dir, err := os.MkdirTemp("/tmp", "salve-nginx-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &CachingProxy{Folder: filepath.Join(dir, "cache")}
	p.serve(t, filepath.Join(dir, "behind"))
	front := filepath.Join(dir, "front")
	conf := filepath.Join(dir, "nginx.conf")
	text := "daemon off; master_process off; error_log stderr; pid " + dir + "/pid;\nevents {}\nhttp {\n access_log off;\n" +
		" proxy_cache_path " + p.Folder + " levels=1:2 keys_zone=z:1m use_temp_path=off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += " " + name + "_temp_path " + filepath.Join(dir, name) + ";\n"
	}
	text += " server {\n  listen unix:" + front + ";\n  location / {\n   proxy_pass http://unix:" + dir + "/behind:;\n" +
		"   proxy_cache z; proxy_cache_valid 200 1h; proxy_cache_key $request_uri;\n  }\n }\n}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.process, err = spawn(exec.Command(program, "-e", "stderr", "-c", conf), syscall.SIGKILL); err != nil {
		t.Fatalf("start nginx: %v", err)
	}
	t.Cleanup(p.process.kill)
	p.client = over(t, front)
	if err := p.process.answers(func(context.Context) error { return p.Get("/first") }); err != nil {
		t.Fatalf("start nginx: %v", err)
	}
	return p
}

// serve begins the server behind.
func (p *CachingProxy) serve(t testing.TB, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Fetched.Add(1)
		_, _ = io.WriteString(w, "this is "+r.URL.Path)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

// over is a client that asks over a socket.
func over(t testing.TB, socket string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// Get asks the proxy for a path.
func (p *CachingProxy) Get(path string) error {
	answer, err := p.client.Get("http://proxy" + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
