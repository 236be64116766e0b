package require

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Who is told of a port can listen on it, again and again; who holds ports does not get it, until it is let go.
func TestPort(t *testing.T) {
	address := Port(t)
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []interface{ Close() error }{other, conn, l} { // the server closes first, and leaves a TIME_WAIT
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := Hold(port); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a port that is held is held again: %v", err)
	}
	free, release, err := Hold(0)
	if err != nil || free == address {
		t.Fatalf("%s, %v", free, err)
	}
	release()
}

// A held port is given to nobody who asks for any.
func TestPortIsNotGivenAway(t *testing.T) {
	held := map[string]bool{}
	for range 200 {
		held[Port(t)] = true
	}
	if len(held) != 200 {
		t.Errorf("%d ports for 200", len(held))
	}
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if held[l.Addr().String()] {
			t.Errorf("%s is given to who asks for any port", l.Addr())
		}
		_ = l.Close()
	}
}
