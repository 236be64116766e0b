package agenttest

import (
	"context"
	"net"
	"os/exec"
	"syscall"
	"testing"
)

// DNS starts dnsmasq for a test, with these options beside those that keep it to itself, and stops it at the test's
// end. It returns its address, on UDP and TCP.
func DNS(t testing.TB, options ...string) string {
	t.Helper()
	program := findProgram("/usr/sbin/dnsmasq")
	Require(t, "dnsmasq", program != "", "install the package dnsmasq-base")
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, at least of TCP
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(program, append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file", "--user=root",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=" + port,
	}, options...)...)
	p, err := spawn(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatalf("start dnsmasq: %v", err)
	}
	t.Cleanup(p.kill)
	err = p.answers(func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		t.Fatalf("start dnsmasq: %v", err)
	}
	return address
}
