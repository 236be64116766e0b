package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// keepAlive finds a peer that went away without a word within half a minute.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// permit gives the addresses to use for one from a configuration. With TLS that is the address itself. In plain
// text each address that the name has must be on loopback; they are used instead of the name, so that nobody can
// change what it means in between.
func (t *Transport) permit(ctx context.Context, address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("not host:port: %w", err)
	}
	if !t.Plain() {
		return []string{address}, nil
	}
	ips, err := t.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		if !ip.Unmap().IsLoopback() {
			return nil, fmt.Errorf("%w, and %s is not: configure TLS, or use 127.0.0.1:%s", ErrPlainText, reach(ip, host), port)
		}
	}
	t.warn.Do(func() {
		t.o.Log.Warn("PLAIN TEXT: nothing on this line is encrypted and nobody is asked who he is; "+
			"fit for trying out on one machine only", "address", address)
	})
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = net.JoinHostPort(ip.String(), port)
	}
	return out, nil
}

// resolve gives the addresses of a host, IPv4 first as net.Listen has them. No host means every address.
func (t *Transport) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == "" {
		return []netip.Addr{netip.IPv6Unspecified()}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ips, err := t.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", host, err)
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("resolve %q: no address", host)
	}
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.Unmap().BitLen() - b.Unmap().BitLen() })
	return ips, nil
}

// reach says what is wrong with an address in the words of who wrote it.
func reach(ip netip.Addr, host string) string {
	switch {
	case ip.IsUnspecified():
		return "every address of this machine"
	case ip.String() == host:
		return host
	}
	return fmt.Sprintf("%s (%s)", host, ip)
}
