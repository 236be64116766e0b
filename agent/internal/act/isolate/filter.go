package isolate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// filter has the kernel reject what this host sends to some addresses and ports. There is one table for all circuits, whose
// sets hold where nothing may go, each for its time:
//
//	table inet salve {
//		set cut4 { type ipv4_addr . inet_service; flags timeout; }
//		chain output {
//			type filter hook output priority filter; policy accept;
//			ip daddr . tcp dport @cut4 tcp sport >= 1024 meta skuid != salve reject with tcp reset
//		}
//	}
//
// and the same for IPv6. Connections of the time before are reset when they send something.
type filter struct {
	to   []netip.AddrPort
	user int
}

// patience bounds one exchange with the kernel, which answers at once or not at all.
const patience = 5 * time.Second

// firstPort is the first source port that is rejected: below are the answers of ssh and other servers of this host, which
// a peer could not be told apart from a dependency for.
const firstPort = 1024

// table is everything that Salve has in the packet filter.
func table() *nftables.Table {
	return &nftables.Table{Name: "salve", Family: nftables.TableFamilyINet}
}

// family is the part of the table for one version of IP.
type family struct {
	set      string
	proto    byte // as meta nfproto has it
	address  nftables.SetDatatype
	offset   uint32 // of the destination in the IP header
	register uint32 // behind that of the address, for the port
}

func families() []family {
	return []family{
		{"cut4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 16, unix.NFT_REG32_01},
		{"cut6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 24, unix.NFT_REG_2},
	}
}

func (f family) setIn(t *nftables.Table) *nftables.Set {
	return &nftables.Set{
		Table: t, Name: f.set, HasTimeout: true, Concatenation: true,
		KeyType: nftables.MustConcatSetType(f.address, nftables.TypeInetService),
	}
}

// key is an element of the set: the address, and the port in the first two bytes of a word.
func (f family) key(to netip.AddrPort) []byte {
	return append(to.Addr().AsSlice(), byte(to.Port()>>8), byte(to.Port()), 0, 0)
}

// elements are those of the list that belong into the set, each like the model.
func (f family) elements(list []netip.AddrPort, model nftables.SetElement) []nftables.SetElement {
	var found []nftables.SetElement
	for _, to := range list {
		if to.Addr().Is4() == (f.proto == unix.NFPROTO_IPV4) {
			model.Key = f.key(to)
			found = append(found, model)
		}
	}
	return found
}

// endpoint is key backwards.
func (f family) endpoint(key []byte) (netip.AddrPort, error) {
	bytes := int(f.address.Bytes)
	if len(key) != bytes+4 {
		return netip.AddrPort{}, fmt.Errorf("set %s of table salve has an element of %d bytes", f.set, len(key))
	}
	at, _ := netip.AddrFromSlice(key[:bytes])
	return netip.AddrPortFrom(at, uint16(key[bytes])<<8|uint16(key[bytes+1])), nil
}

// rule rejects what goes to an element of the set. The look-up comes first, because hardly anything gets past it.
func (f family) rule(set *nftables.Set, user int) []expr.Any {
	is := func(op expr.CmpOp, data ...byte) expr.Any {
		return &expr.Cmp{Op: op, Register: unix.NFT_REG_1, Data: data}
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		is(expr.CmpOpEq, f.proto),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
		is(expr.CmpOpEq, unix.IPPROTO_TCP),
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.address.Bytes, DestRegister: unix.NFT_REG_1},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: f.register},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set.Name, SetID: set.ID},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2, DestRegister: unix.NFT_REG_1},
		is(expr.CmpOpGte, binaryutil.BigEndian.PutUint16(firstPort)...),
		&expr.Meta{Key: expr.MetaKeySKUID, Register: unix.NFT_REG_1},
		is(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(uint32(user))...),
		&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
	}
}

func (f filter) describe() string {
	var names []string
	for _, to := range f.to {
		names = append(names, to.String())
	}
	return "reject connections to " + strings.Join(names, ", ")
}

func (f filter) check(ctx context.Context) error {
	if f.user == 0 {
		return kind.Refuse("the agent runs as root, so that its own connections could not be told from others'")
	}
	if err := f.checkAway(); err != nil {
		return err
	}
	there, err := f.elements(ctx)
	if errors.Is(err, unix.EPERM) {
		return kind.Refuse("the packet filter takes CAP_NET_ADMIN, as examples/packet-filter.conf gives it: %v", err)
	}
	if err != nil {
		return kind.Unknown("what the packet filter rejects", err)
	}
	taken := 0
	for _, to := range f.to {
		if _, ok := there[to]; ok {
			taken++
		}
	}
	switch {
	case taken == len(f.to):
		return kind.Needless("all of it is cut off already")
	case taken > 0: // by a circuit that overlaps, which must not be shortened, nor mended with this one
		return kind.Postpone("%d of %d addresses and ports are cut off already", taken, len(f.to))
	}
	return nil
}

// checkAway refuses addresses of this host.
func (f filter) checkAway() error {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return kind.Unknown("which addresses this host has", err)
	}
	for _, to := range f.to {
		if at := to.Addr(); at.IsLoopback() || at.IsUnspecified() {
			return kind.Refuse("%s is this host itself", at)
		}
		for _, a := range own {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(to.Addr().AsSlice()) {
				return kind.Refuse("%s is an address of this host", to.Addr())
			}
		}
	}
	return nil
}

// make puts the whole table in place and the elements into it, in one transaction. The rules are made anew each time, so
// that they are right whoever has been there; the elements of other circuits stay.
func (f filter) make(ctx context.Context, id string, d time.Duration) error {
	c, cancel, err := open(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	t := c.AddTable(table())
	chain := c.AddChain(&nftables.Chain{
		Name: "output", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityFilter,
	})
	c.FlushChain(chain)
	for _, v := range families() {
		set := v.setIn(t)
		if err := c.AddSet(set, nil); err != nil {
			return fmt.Errorf("cut off: %w", err)
		}
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: v.rule(set, f.user)})
		if list := v.elements(f.to, nftables.SetElement{Timeout: d, Comment: id}); len(list) > 0 {
			if err := c.SetAddElements(set, list); err != nil {
				return fmt.Errorf("cut off: %w", err)
			}
		}
	}
	return flush(c, "cut off")
}

func (f filter) mend(ctx context.Context, id string) error {
	there, err := f.elements(ctx)
	if err != nil {
		return err
	}
	var own []netip.AddrPort
	for to, by := range there {
		if by == id {
			own = append(own, to)
		}
	}
	return remove(ctx, own)
}

// remove lets these addresses and ports through. One that has ended since they were listed would have the kernel refuse all of
// it, so each is added again first, in the same transaction.
func remove(ctx context.Context, list []netip.AddrPort) error {
	c, cancel, err := open(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	for _, v := range families() {
		set, elements := v.setIn(table()), v.elements(list, nftables.SetElement{})
		if len(elements) == 0 {
			continue
		}
		if err := errors.Join(c.SetAddElements(set, elements), c.SetDeleteElements(set, elements)); err != nil {
			return fmt.Errorf("let through: %w", err)
		}
	}
	return flush(c, "let through")
}

func (f filter) made(ctx context.Context, id string) (bool, error) {
	there, err := f.elements(ctx)
	for _, by := range there {
		if by == id {
			return true, nil
		}
	}
	return false, err
}

// elements are the addresses and ports that are cut off now, each with the attempt that did it.
func (f filter) elements(ctx context.Context) (map[netip.AddrPort]string, error) {
	c, cancel, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	there := map[netip.AddrPort]string{}
	for _, t := range tables {
		if t.Name != table().Name {
			continue
		}
		sets, err := c.GetSets(t)
		if err != nil {
			return nil, fmt.Errorf("list sets of table salve: %w", err)
		}
		for _, v := range families() {
			if !slices.ContainsFunc(sets, func(s *nftables.Set) bool { return s.Name == v.set }) {
				continue
			}
			list, err := c.GetSetElements(v.setIn(t))
			if err != nil {
				return nil, fmt.Errorf("list set %s of table salve: %w", v.set, err)
			}
			for _, e := range list {
				to, err := v.endpoint(e.Key)
				if err != nil {
					return nil, err
				}
				there[to] = e.Comment
			}
		}
	}
	return there, nil
}

// open makes a connection to the packet filter of this process's network namespace.
func open(ctx context.Context) (*nftables.Conn, context.CancelFunc, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	end, _ := ctx.Deadline()
	c, err := nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error { return c.SetDeadline(end) }))
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("open the packet filter: %w", err)
	}
	return c, cancel, nil
}

// flush carries the transaction out. An answer of the kernel that is an error means that nothing was done.
func flush(c *nftables.Conn, what string) error {
	err := c.Flush()
	var no syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, kind.ErrLost, err)
}
