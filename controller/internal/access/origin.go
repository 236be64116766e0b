package access

import (
	"context"
	"net"
	"net/netip"

	"github.com/salveops/salve/proto/logpb"
)

// Origin is where the call with this context comes from, for the audit: what the connection shows, whatever the request
// says. nil: it came over none.
func Origin(ctx context.Context) *logpb.Origin {
	c, _ := Of(ctx)
	o := &logpb.Origin{Address: hostOf(shown(ctx).Address), Credential: c.credential()}
	if o.GetAddress() == "" && o.GetCredential() == "" {
		return nil
	}
	return o
}

// credential is what the caller is known by: what can be revoked, or ended.
func (c Caller) credential() string {
	switch c.How {
	case ByCertificate:
		return "serial/" + c.serial
	case ByToken:
		return TokenCredential(c.token.ID)
	}
	return ""
}

// TokenCredential is how the audit names a token.
func TokenCredential(id string) string { return "token/" + id }

// hostOf is an address without its port.
func hostOf(address string) string {
	if ip := ipOf(address); ip.IsValid() {
		return ip.String()
	}
	return address
}

// ipOf is the IP address in an address, the zero one if there is none.
func ipOf(address string) netip.Addr {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// origin is whom a limit counts: an address, or for IPv6 a network, of which anybody has as many addresses as he
// likes.
func origin(address string) netip.Addr {
	ip := ipOf(address).WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
