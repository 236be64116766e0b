package isolate

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// element is an address and port to which one slice may send nothing, by the number of its control group; 0: the whole host.
type element struct {
	slice uint64
	to    netip.AddrPort
}

// firstPort is the first source port that is rejected: below are the answers of ssh and other servers of this host, which
// a peer could not be told apart from a dependency for.
const firstPort = 1024

// table is everything that Salve has in the packet filter.
func table() *nftables.Table {
	return &nftables.Table{Name: "salve", Family: nftables.TableFamilyINet}
}

// family is the part of the table for one version of IP, for whole hosts or for slices.
type family struct {
	set     string
	proto   byte // as meta nfproto has it
	address nftables.SetDatatype
	offset  uint32 // of the destination in the IP header
	slices  bool
}

func families() []family {
	return []family{
		{"cut4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 16, false},
		{"cut6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 24, false},
		{"slice4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 16, true},
		{"slice6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 24, true},
	}
}

func (f family) setIn(t *nftables.Table) *nftables.Set {
	types := []nftables.SetDatatype{f.address, nftables.TypeInetService}
	if f.slices {
		types = slices.Insert(types, 0, nftables.TypeCGroupV2)
	}
	return &nftables.Set{
		Table: t, Name: f.set, HasTimeout: true, Concatenation: true, KeyType: nftables.MustConcatSetType(types...),
	}
}

// before is how many bytes of a key come before the address.
func (f family) before() int {
	if f.slices {
		return int(nftables.TypeCGroupV2.Bytes)
	}
	return 0
}

// key is an element as the set has it: the slice, the address, and the port in the first two bytes of a word.
func (f family) key(e element) []byte {
	key := binary.NativeEndian.AppendUint64(nil, e.slice)[:f.before()]
	key = append(key, e.to.Addr().AsSlice()...)
	return append(key, byte(e.to.Port()>>8), byte(e.to.Port()), 0, 0)
}

// keys are those of the list that belong into the set, each like the model.
func (f family) keys(list []element, model nftables.SetElement) []nftables.SetElement {
	var found []nftables.SetElement
	for _, e := range list {
		if e.to.Addr().Is4() == (f.proto == unix.NFPROTO_IPV4) && (e.slice != 0) == f.slices {
			model.Key = f.key(e)
			found = append(found, model)
		}
	}
	return found
}

// element is key backwards.
func (f family) element(key []byte) (element, error) {
	port := f.before() + int(f.address.Bytes)
	if len(key) != port+4 {
		return element{}, fmt.Errorf("set %s of table salve has an element of %d bytes", f.set, len(key))
	}
	at, _ := netip.AddrFromSlice(key[f.before():port])
	e := element{to: netip.AddrPortFrom(at, binary.BigEndian.Uint16(key[port:]))}
	if f.slices {
		e.slice = binary.NativeEndian.Uint64(key)
	}
	return e, nil
}

// rule rejects what goes to an element of the set. The look-up comes first, because hardly anything gets past it.
func (f family) rule(set *nftables.Set, from *slice, user int) []expr.Any {
	is := func(op expr.CmpOp, data ...byte) expr.Any {
		return &expr.Cmp{Op: op, Register: unix.NFT_REG_1, Data: data}
	}
	register := func(bytes int) uint32 { return unix.NFT_REG32_00 + uint32(bytes)/4 }
	rule := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		is(expr.CmpOpEq, f.proto),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
		is(expr.CmpOpEq, unix.IPPROTO_TCP),
	}
	if f.slices {
		rule = append(rule, &expr.Socket{Key: expr.SocketKeyCgroupv2, Level: uint32(from.Level), Register: unix.NFT_REG_1})
	}
	return append(rule,
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.address.Bytes,
			DestRegister: register(f.before())},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2,
			DestRegister: register(f.before() + int(f.address.Bytes))},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set.Name, SetID: set.ID},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2, DestRegister: unix.NFT_REG_1},
		is(expr.CmpOpGte, binaryutil.BigEndian.PutUint16(firstPort)...),
		&expr.Meta{Key: expr.MetaKeySKUID, Register: unix.NFT_REG_1},
		is(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(uint32(user))...),
		&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
	)
}
