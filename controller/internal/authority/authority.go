// Package authority is the controller's own small certificate authority: it makes itself, and signs certificates of
// nodes, hosts and operators. Its key is a file on the controllers, and never in the log, a snapshot or a backup.
package authority

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
)

// Lives of certificates. Clocks of machines differ, so each is valid a little earlier than it was made.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	NodeLife      = defaults.NodeLife
	OperatorLife  = 90 * 24 * time.Hour
	HostLife      = defaults.HostLife
	early         = 5 * time.Minute
)

// ErrExists: an authority is there already.
var ErrExists = errors.New("there is an authority already")

// Authority signs.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Create makes an authority in two files of an owner, nil for this process's user. It never replaces one.
func Create(certFile, keyFile string, now time.Time, owner *durable.Owner) (*Authority, error) {
	for _, f := range []string{certFile, keyFile} {
		if _, err := os.Lstat(f); err == nil {
			return nil, fmt.Errorf("make authority: %w: %s; say --ca with its folder to add a node or an operator", ErrExists, f)
		}
	}
	key, err := credential.NewKey()
	if err != nil {
		return nil, err
	}
	serial, err := NewSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Salve authority " + serial.Text(16)[:8]},
		NotBefore: now.Add(-early), NotAfter: now.Add(AuthorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	text, err := credential.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := durable.Create(keyFile, text, 0o600, owner); err != nil {
		return nil, err
	}
	return &Authority{cert, key}, durable.Create(certFile, credential.EncodeCerts(cert), 0o644, owner)
}

// Open reads an authority's key, and finds its certificate among those of a file: while authorities change there are
// several. The newest of the key counts.
func Open(certFile, keyFile string) (*Authority, error) {
	info, err := os.Stat(keyFile)
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("open authority: %s: %w: chmod 600 it", keyFile, credential.ErrKeyMode)
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	key, err := credential.Key(text)
	if err != nil {
		return nil, fmt.Errorf("open authority: %s: %w", keyFile, err)
	}
	if text, err = os.ReadFile(certFile); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	roots, err := credential.Roots(text)
	if err != nil {
		return nil, fmt.Errorf("open authority: %s: %w", certFile, err)
	}
	var found *x509.Certificate
	for _, c := range roots {
		if key.PublicKey.Equal(c.PublicKey) && (found == nil || c.NotAfter.After(found.NotAfter)) {
			found = c
		}
	}
	if found == nil {
		return nil, fmt.Errorf("open authority: %w: none in %s is of the key in %s", credential.ErrPair, certFile, keyFile)
	}
	return &Authority{found, key}, nil
}

// Certificate is the authority's own.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pin is its fingerprint.
func (a *Authority) Pin() []byte { return identity.Pin(a.cert) }

// Order is what a certificate should say.
type Order struct {
	Name   identity.Name
	Key    *ecdsa.PublicKey
	Serial *big.Int // nil: a new one
	// Addresses are the names and IP addresses under which a node is dialled.
	Addresses []string
	Life      time.Duration
	Now       time.Time
}

// Issue signs a certificate. It never outlives the authority.
func (a *Authority) Issue(o Order) (*x509.Certificate, error) {
	if err := o.Name.Check(); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	if o.Serial == nil {
		var err error
		if o.Serial, err = NewSerial(); err != nil {
			return nil, err
		}
	}
	uri, err := url.Parse(o.Name.String())
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: o.Serial, Subject: pkix.Name{CommonName: o.Name.Short()}, URIs: []*url.URL{uri},
		NotBefore: o.Now.Add(-min(early, o.Life/12)), NotAfter: a.Until(o.Now, o.Life), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if o.Name.Kind == identity.Controller {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		for _, address := range o.Addresses {
			if ip := net.ParseIP(address); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, address)
			}
		}
	}
	out, err := sign(c, a.cert, o.Key, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return out, nil
}

// Until is the end of a certificate that is made now.
func (a *Authority) Until(now time.Time, life time.Duration) time.Time {
	end := now.Add(life).Truncate(time.Second)
	if end.After(a.cert.NotAfter) {
		return a.cert.NotAfter
	}
	return end
}

// NewSerial is a number that nobody guesses and nothing has.
func NewSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n.SetBit(n, 126, 1), nil // never short, never 0
}

func sign(c, parent *x509.Certificate, key *ecdsa.PublicKey, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
