package isolate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
)

// filter has the kernel reject what this host, or one slice of it, sends to some addresses and ports. There is one table for all
// circuits, whose sets hold where nothing may go, each for its time:
//
//	table inet salve {
//		set cut4 { type ipv4_addr . inet_service; flags timeout; }
//		chain output {
//			type filter hook output priority filter; policy accept;
//			ip daddr . tcp dport @cut4 tcp sport >= 1024 meta skuid != salve reject with tcp reset
//		}
//		set slice4 { type cgroupsv2 . ipv4_addr . inet_service; flags timeout; }
//		chain output2 { # for slices that lie two levels deep
//			type filter hook output priority filter; policy accept;
//			socket cgroupv2 level 2 . ip daddr . tcp dport @slice4 tcp sport >= 1024 meta skuid != salve reject with tcp reset
//		}
//	}
//
// and the same for IPv6. Connections of the time before are reset when they send something.
type filter struct {
	to   []netip.AddrPort
	from *slice // nil: the whole host
	user int
	// changing is held from looking at what is cut off until that is changed: circuits may overlap.
	changing *sync.Mutex
}

// patience bounds one exchange with the kernel, which answers at once or not at all.
const patience = 5 * time.Second

func (f filter) describe() string {
	var names []string
	for _, to := range f.to {
		names = append(names, to.String())
	}
	what := "connections"
	if f.from != nil {
		what += " of what runs in " + f.from.Name
	}
	return "reject " + what + " to " + strings.Join(names, ", ")
}

func (f filter) check(ctx context.Context) error {
	if f.user == 0 {
		return kind.Refuse("the agent runs as root, so that its own connections could not be told from others'")
	}
	if err := f.checkAway(); err != nil {
		return err
	}
	there, err := elements(ctx)
	if errors.Is(err, unix.EPERM) {
		return kind.Refuse("the packet filter takes CAP_NET_ADMIN, as examples/packet-filter.conf gives it: %v", err)
	}
	if err != nil {
		return kind.Unknown("what the packet filter rejects", err)
	}
	switch taken := f.taken(there); {
	case taken == len(f.to):
		return kind.Needless("all of it is cut off already")
	case taken > 0: // by a circuit that overlaps, which must not be shortened, nor mended with this one
		return kind.Postpone("%d of %d addresses and ports are cut off already", taken, len(f.to))
	}
	return nil
}

// taken counts what is cut off already, by a circuit of the whole host too.
func (f filter) taken(there map[element]string) int {
	taken := 0
	for _, e := range f.elements() {
		_, own := there[e]
		if _, host := there[element{to: e.to}]; own || host {
			taken++
		}
	}
	return taken
}

// elements are what make puts into the table.
func (f filter) elements() []element {
	var list []element
	for _, to := range f.to {
		e := element{to: to}
		if f.from != nil {
			e.slice = f.from.Group
		}
		list = append(list, e)
	}
	return list
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

// make puts its part of the table in place and the elements into it, in one transaction. The rules are made anew each time, so
// that they are right whoever has been there; the elements of other circuits stay.
func (f filter) make(ctx context.Context, id string, d time.Duration) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	there, err := elements(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNothing, err)
	}
	if f.taken(there) > 0 {
		return fmt.Errorf("%w: another circuit has come first that has some of its addresses and ports", errNothing)
	}
	c, cancel, err := open(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNothing, err)
	}
	defer cancel()
	name, what := "output", "cut off"
	if f.from != nil {
		name, what = fmt.Sprintf("output%d", f.from.Level), "cut off by control group, as Linux can from 5.13 with nft_socket"
	}
	t := c.AddTable(table())
	chain := c.AddChain(&nftables.Chain{
		Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityFilter,
	})
	c.FlushChain(chain)
	for _, v := range families() {
		if v.slices != (f.from != nil) {
			continue
		}
		set := v.setIn(t)
		if err := c.AddSet(set, nil); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: v.rule(set, f.from, f.user)})
		if list := v.keys(f.elements(), nftables.SetElement{Timeout: d, Comment: id}); len(list) > 0 {
			if err := c.SetAddElements(set, list); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	return flush(c, what)
}

func (f filter) mend(ctx context.Context, id string) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	there, err := elements(ctx)
	if err != nil {
		return err
	}
	var own []element
	for e, by := range there {
		if by == id {
			own = append(own, e)
		}
	}
	return remove(ctx, own)
}

// remove lets these addresses and ports through. One that has ended since they were listed would have the kernel refuse all of
// it, so each is added again first, in the same transaction.
func remove(ctx context.Context, list []element) error {
	c, cancel, err := open(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	for _, v := range families() {
		set, keys := v.setIn(table()), v.keys(list, nftables.SetElement{})
		if len(keys) == 0 {
			continue
		}
		if err := errors.Join(c.SetAddElements(set, keys), c.SetDeleteElements(set, keys)); err != nil {
			return fmt.Errorf("let through: %w", err)
		}
	}
	return flush(c, "let through")
}

func (f filter) made(ctx context.Context, id string) (bool, error) {
	there, err := elements(ctx)
	for _, by := range there {
		if by == id {
			return true, nil
		}
	}
	return false, err
}

// elements are what is cut off now, each with the attempt that did it.
func elements(ctx context.Context) (map[element]string, error) {
	c, cancel, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	there := map[element]string{}
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
			for _, one := range list {
				e, err := v.element(one.Key)
				if err != nil {
					return nil, err
				}
				there[e] = one.Comment
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
