package isolate

import (
	"context"
	"net/netip"
)

// ForUser is the kind in an agent that runs as another user.
func (k Kind) ForUser(user int) Kind {
	k.user = user
	return k
}

// Remove is what undo does to addresses and ports that it has listed.
func Remove(ctx context.Context, list []netip.AddrPort) error {
	return remove(ctx, filter{to: list}.elements())
}
