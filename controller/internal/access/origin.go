package access

import (
	"context"

	"github.com/salveops/salve/pkg/limit"
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
	if ip := limit.IP(address); ip.IsValid() {
		return ip.String()
	}
	return address
}
