package config

import (
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
)

// TLS are the files by which a program is known and knows others. They are read again when they change.
type TLS struct {
	CA    string // authorities that may name the other end: one or, while they change, several
	Cert  string // the own certificate; its URI says who this is, such as salve://controller/ctl-1
	Key   string // its key, ECDSA on P-256, which others may not read
	CAKey string // controller only: key of an authority in CA, which gives certificates; "": this node gives none
	// HostLife and NodeLife are how long certificates live that this node gives, to hosts and to nodes; controller only.
	HostLife, NodeLife time.Duration
	Range              hcl.Range
}

// tlsKind is the block in either file; only a controller gives certificates.
func tlsKind(gives bool) *kind {
	k := &kind{attrs: []attr{
		{name: "ca", typ: text, required: true}, {name: "cert", typ: text, required: true}, {name: "key", typ: text,
			required: true},
	}}
	if gives {
		const least, most = int64(10 * time.Second), int64(365 * day) // a revocation of a name is kept for longer
		k.attrs = append(k.attrs, attr{name: "ca_key", typ: text},
			attr{name: "host_life", typ: duration, def: defaults.HostLife, least: least, most: most},
			attr{name: "node_life", typ: duration, def: defaults.NodeLife, least: least, most: most})
	} else {
		for _, name := range []string{"ca_key", "host_life", "node_life"} {
			k.refuse = append(k.refuse, refusal{name: name, here: true, why: "Only the controller gives certificates."})
		}
	}
	return k
}

func (l *loader) decodeTLS(b *block) *TLS {
	if b == nil {
		return nil
	}
	t := &TLS{
		CA: b.checked("ca", checkAbsolute), Cert: b.checked("cert", checkAbsolute), Key: b.checked("key",
			checkAbsolute), Range: b.header,
	}
	if l.program == "controller" {
		t.HostLife, t.NodeLife = b.duration("host_life"), b.duration("node_life")
		if b.has("ca_key") {
			t.CAKey = b.checked("ca_key", checkAbsolute)
		}
	}
	return t
}

// checkLine is for an address of a line between programs. Plain text stays on this machine.
func (l *loader) checkLine(s string) string {
	if wrong := checkAddress(s); wrong != "" || l.file.TLS != nil {
		return wrong
	}
	if host, _, _ := net.SplitHostPort(s); !onLoopback(host) {
		return fmt.Sprintf("%q is not a loopback address, and without a tls block lines are plain text, which never leaves the "+
			"host; salve-controller init makes the files for one", s)
	}
	return ""
}
