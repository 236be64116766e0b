// Package identity makes and reads the names that certificates carry, and the tokens that stand in for one. Nothing
// else does, so that no two parts of Salve can read one certificate differently. It is pure.
//
//	salve://controller/NODE            a node of the controller
//	salve://host/ID                    an agent; ID is the host's, 32 hex digits
//	salve://operator/NAME/ROLE         a person or a program
//	spiffe://DOMAIN/salve/KIND/…       the same, for authorities that only know SPIFFE
package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// ErrName: a name, or a certificate, that is nobody's.
var ErrName = errors.New("no identity of Salve's")

// Kind is what somebody is.
type Kind string

// Kinds of identities.
const (
	Controller Kind = "controller"
	Host       Kind = "host"
	Operator   Kind = "operator"
)

// Role is what an operator may do; each may do what the ones before may. The zero value may do nothing.
type Role int

// Roles of operators.
const (
	NoRole       Role = iota
	Viewer            // reads
	Steward           // "operator": pauses, acknowledges, silences
	Approver          // decides about repairs: approves, revokes and settles permits
	Admin             // hosts, nodes, backups, who may get in
	roleSentinel      // one more than the greatest
)

var roleNames = [roleSentinel]string{"", "viewer", "operator", "approver", "admin"}

// String is the role's word, "" for none.
func (r Role) String() string {
	if r <= NoRole || r >= roleSentinel {
		return ""
	}
	return roleNames[r]
}

// Roles are the words for all roles, the least first.
func Roles() []string { return append([]string(nil), roleNames[1:]...) }

// ParseRole reads a role's word.
func ParseRole(word string) (Role, error) {
	for r := Viewer; r < roleSentinel; r++ {
		if roleNames[r] == word {
			return r, nil
		}
	}
	return NoRole, fmt.Errorf("role %q: it must be one of %s", word, strings.Join(Roles(), ", "))
}

// Name says who somebody is.
type Name struct {
	Kind Kind
	ID   string // of the node, the host or the operator
	Role Role   // of an operator, else NoRole
}

// maxURI bounds a name, and maxID what in it is chosen by people.
const (
	maxURI = 512
	maxID  = 64
	hostID = 32
)

// Check reports what is wrong with a name.
func (n Name) Check() error {
	switch {
	case n.Kind != Controller && n.Kind != Host && n.Kind != Operator:
		return fmt.Errorf("%w: the kind %q is unknown", ErrName, n.Kind)
	case n.Kind == Host && !validHost(n.ID):
		return fmt.Errorf("%w: the ID of a host has %d hex digits", ErrName, hostID)
	case !validID(n.ID):
		return fmt.Errorf("%w: %q is not 1 to %d letters, digits, dots, dashes, underscores or @", ErrName, n.ID, maxID)
	case n.Kind == Operator && n.Role.String() == "":
		return fmt.Errorf("%w: operator %q has no role", ErrName, n.ID)
	case n.Kind != Operator && n.Role != NoRole:
		return fmt.Errorf("%w: only operators have roles", ErrName)
	}
	return nil
}

// String is the name as it stands in a certificate.
func (n Name) String() string {
	text := "salve://" + n.Short()
	if n.Role != NoRole {
		text += "/" + n.Role.String()
	}
	return text
}

// Short is the name without its role, "host/ID": what can be revoked.
func (n Name) Short() string { return string(n.Kind) + "/" + n.ID }

// By is how the audit names who did something.
func (n Name) By() string {
	if n.Kind == Operator {
		return n.ID
	}
	return n.Short()
}

// Parse reads a name. Errors wrap ErrName.
func Parse(uri string) (Name, error) {
	if len(uri) > maxURI {
		return Name{}, fmt.Errorf("%w: the name has %d bytes", ErrName, len(uri))
	}
	rest, ok := path(uri)
	if !ok {
		return Name{}, fmt.Errorf("%w: %q", ErrName, uri)
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Name{}, fmt.Errorf("%w: %q is not KIND/NAME", ErrName, uri)
	}
	n := Name{Kind: Kind(parts[0]), ID: parts[1]}
	if len(parts) == 3 {
		role, err := ParseRole(parts[2])
		if err != nil {
			return Name{}, fmt.Errorf("%w: %w", ErrName, err)
		}
		n.Role = role
	}
	if err := n.Check(); err != nil {
		return Name{}, err
	}
	return n, nil
}

// ParseShort reads what Short writes. Errors wrap ErrName.
func ParseShort(text string) (Kind, string, error) {
	kind, id, ok := strings.Cut(text, "/")
	n := Name{Kind: Kind(kind), ID: id}
	if n.Kind == Operator {
		n.Role = Viewer // any: a short name has none
	}
	if !ok {
		return "", "", fmt.Errorf("%w: %q is not KIND/NAME", ErrName, text)
	}
	return n.Kind, n.ID, n.Check()
}

// ours reports whether a URI claims to be a name of Salve's, well made or not.
func ours(uri string) bool {
	if len(uri) > maxURI {
		return true // let Parse refuse it
	}
	_, ok := path(uri)
	return ok || strings.HasPrefix(uri, "salve:")
}

// path is what follows the scheme.
func path(uri string) (string, bool) {
	if rest, ok := strings.CutPrefix(uri, "salve://"); ok {
		return rest, true
	}
	rest, ok := strings.CutPrefix(uri, "spiffe://")
	if !ok {
		return "", false
	}
	domain, rest, ok := strings.Cut(rest, "/")
	if !ok || domain == "" {
		return "", false
	}
	return strings.CutPrefix(rest, "salve/")
}

// Of is the one name in a certificate. Two of them, or one that is wrong, are nobody: a certificate that can be read
// in two ways is refused. Errors wrap ErrName.
func Of(c *x509.Certificate) (Name, error) {
	var found []string
	for _, u := range c.URIs {
		if text := u.String(); ours(text) {
			found = append(found, text)
		}
	}
	switch len(found) {
	case 0:
		return Name{}, fmt.Errorf("%w: the certificate has no URI that begins with salve://", ErrName)
	case 1:
		return Parse(found[0])
	}
	return Name{}, fmt.Errorf("%w: the certificate has %d names of Salve's", ErrName, len(found))
}

// Serial is how a certificate's number is written.
func Serial(c *x509.Certificate) string {
	if c.SerialNumber == nil {
		return ""
	}
	return c.SerialNumber.Text(16)
}

// ValidSerial reports whether a text can be a certificate's number.
func ValidSerial(text string) bool {
	return text != "" && len(text) <= 40 && text[0] != '0' && isHex(text)
}

func validHost(s string) bool { return len(s) == hostID && isHex(s) }

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func validID(s string) bool {
	if s == "" || len(s) > maxID || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '-', c == '_', c == '@':
		default:
			return false
		}
	}
	return true
}
