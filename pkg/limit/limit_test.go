package limit

import (
	"net/netip"
	"testing"
	"time"
)

// Memory is bounded, whoever comes, and those who are not remembered share one count.
func TestMemory(t *testing.T) {
	now := time.Now()
	l := New(2, time.Second, 1_000_000, time.Second)
	for n := range 3 * maxOrigins {
		l.Take(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), now)
	}
	if len(l.by) > maxOrigins {
		t.Errorf("%d addresses are remembered", len(l.by))
	}
	if l.Try("192.0.2.1:1", now) {
		t.Error("an address that nobody remembers may try without end")
	}
	if now = now.Add(2 * time.Second); !l.Try("192.0.2.1:1", now) {
		t.Error("it may not try later")
	}
}

func TestOrigin(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:443": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1", "[2001:db8::1]:1": "2001:db8::", "[fe80::1%eth0]:1": "fe80::",
		"bufconn": "invalid IP",
	} {
		if got := Origin(address).String(); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}
