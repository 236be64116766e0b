package config

import (
	"fmt"
	"net"

	"github.com/hashicorp/hcl/v2"
)

// TLS are the files by which a program is known and knows others. They are read again when they change.
type TLS struct {
	CA    string // authorities that may name the other end: one or, while they change, several
	Cert  string // the own certificate; its URI says who this is, such as salve://controller/ctl-1
	Key   string // its key, ECDSA on P-256, which others may not read
	CAKey string // controller only: key of an authority in CA, which gives hosts their certificates; "": this node gives none
	Range hcl.Range
}

// tlsKind is the block in either file; only a controller gives certificates.
func tlsKind(gives bool) *kind {
	k := &kind{attrs: []attr{
		{name: "ca", typ: text, required: true}, {name: "cert", typ: text, required: true}, {name: "key", typ: text,
			required: true},
	}}
	if gives {
		k.attrs = append(k.attrs, attr{name: "ca_key", typ: text})
	} else {
		k.refuse = []refusal{{name: "ca_key", here: true, why: "Only the controller gives certificates."}}
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
	if l.program == "controller" && b.has("ca_key") {
		t.CAKey = b.checked("ca_key", checkAbsolute)
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
