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
	"time"

	"github.com/salveops/salve/pkg/require"
)

// CachingProxy is a real nginx or Varnish that keeps what it fetches, with a server behind it.
type CachingProxy struct {
	// Folder is that of nginx's cache, whose keys are the paths of requests. It has no TCP port.
	Folder string
	// Address is Varnish's, host:port.
	Address string
	// Fetched is how often the server behind it was asked.
	Fetched atomic.Int64

	program string
	process *process
	client  *http.Client
}

// Nginx starts an nginx for a test, and stops it at its end.
func Nginx(t testing.TB) *CachingProxy {
	t.Helper()
	p, dir := proxy(t, "nginx", "/usr/sbin/nginx")
	p.Folder = filepath.Join(dir, "cache")
	front := filepath.Join(dir, "front")
	text := "daemon off; master_process off; error_log stderr; pid " + dir + "/pid;\nevents {}\nhttp {\n access_log off;\n" +
		" proxy_cache_path " + p.Folder + " levels=1:2 keys_zone=z:1m use_temp_path=off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += " " + name + "_temp_path " + filepath.Join(dir, name) + ";\n"
	}
	text += " server {\n  listen unix:" + front + ";\n  location / {\n   proxy_pass http://unix:" + dir + "/behind:;\n" +
		"   proxy_cache z; proxy_cache_valid 200 1h; proxy_cache_key $request_uri;\n  }\n }\n}\n"
	p.start(t, "unix", front, text, "-e", "stderr", "-c")
	return p
}

// Varnish starts a Varnish for a test, and stops it at its end. It forgets a page by PURGE, and by BAN those whose path fits a
// regular expression, of its host example.org alone, if it is asked from 127.0.0.1.
func Varnish(t testing.TB) *CachingProxy {
	t.Helper()
	p, dir := proxy(t, "varnish", "/usr/sbin/varnishd")
	p.Address = require.Port(t)
	text := "vcl 4.1;\nbackend b { .path = \"" + dir + "/behind\"; }\nacl here { \"127.0.0.1\"; }\nsub vcl_recv {\n" +
		" if (req.method == \"PURGE\" || req.method == \"BAN\") {\n" +
		"  if (client.ip !~ here || req.http.host != \"example.org\") { return (synth(405)); }\n" +
		"  if (req.method == \"PURGE\") { return (purge); }\n" +
		"  ban(\"obj.http.x-url ~ \" + req.url);\n  return (synth(200));\n }\n return (hash);\n}\n" +
		"sub vcl_backend_response { set beresp.http.x-url = bereq.url; set beresp.ttl = 1h; }\n"
	p.start(t, "tcp", p.Address, text, "-F", "-n", filepath.Join(dir, "own"), "-a", p.Address, "-j", "none", "-T", "none",
		"-s", "malloc,8m", "-p", "thread_pools=1", "-f")
	return p
}

// proxy is one that is yet to be started, with the server behind it at the socket "behind" in its folder.
func proxy(t testing.TB, name, program string) (p *CachingProxy, dir string) {
	t.Helper()
	p = &CachingProxy{program: findProgram(program)}
	Require(t, name, p.program != "", "install the package "+name)
	dir, err := os.MkdirTemp("/tmp", "salve-proxy-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.serve(t, filepath.Join(dir, "behind"))
	return p, dir
}

// start starts the program with a file of that configuration as its last argument.
func (p *CachingProxy) start(t testing.TB, network, address, conf string, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.process, err = spawn(exec.Command(p.program, append(args, file)...), syscall.SIGKILL); err != nil {
		t.Fatalf("start %s: %v", p.program, err)
	}
	t.Cleanup(p.Stop)
	p.client = over(t, network, address)
	if err := p.process.answers(func(context.Context) error { return p.Get("/first") }); err != nil {
		t.Fatalf("start %s: %v", p.program, err)
	}
}

// Stop ends it, with what it started. An nginx of one process sleeps through a signal that comes right before it waits.
func (p *CachingProxy) Stop() {
	Poll(10*time.Second, func() bool {
		_ = p.process.cmd.Process.Signal(syscall.SIGTERM)
		return p.process.exited()
	})
	p.process.kill()
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

// over is a client that asks at this address whatever its URLs name.
func over(t testing.TB, network, address string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// Get asks the proxy for a path.
func (p *CachingProxy) Get(path string) error { return p.Ask("proxy", path) }

// Ask asks the proxy for a path of a host.
func (p *CachingProxy) Ask(host, path string) error {
	answer, err := p.client.Get("http://" + host + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
