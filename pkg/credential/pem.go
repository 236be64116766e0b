// Package credential keeps a program's certificate, key and authorities: it reads them from files, notices when they
// change, and writes them so that a crash leaves the old ones or the new ones. Who made the files does not matter:
// salve-controller init, an enrolment, cert-manager, Vault, a SPIFFE helper.
package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrPEM: bytes that are not what they should be.
var ErrPEM = errors.New("no usable PEM")

// Bounds of what is read.
const (
	maxFile  = 256 << 10
	maxCerts = 32
	// MaxRequest is the longest certificate request that is looked at.
	MaxRequest = 4 << 10
)

// Certificates reads every certificate of a PEM text, which has one at least. Other blocks are passed over, for one
// file may hold all that a program needs. Errors wrap ErrPEM.
func Certificates(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrPEM, maxFile)
	}
	var out []*x509.Certificate
	for block := (*pem.Block)(nil); ; {
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if len(out) == maxCerts {
			return nil, fmt.Errorf("%w: more than %d certificates", ErrPEM, maxCerts)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrPEM, len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: it holds no certificate", ErrPEM)
	}
	return out, nil
}

// Roots are the authorities among the certificates of a PEM text, of which there is one at least. Errors wrap ErrPEM.
func Roots(text []byte) ([]*x509.Certificate, error) {
	all, err := Certificates(text)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, c := range all {
		if c.IsCA && c.BasicConstraintsValid {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: none of its certificates is an authority's", ErrPEM)
	}
	return out, nil
}

// Key reads the one private key of a PEM text: ECDSA on P-256, as everywhere in Salve. Errors wrap ErrPEM and hold
// nothing of it.
func Key(text []byte) (*ecdsa.PrivateKey, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrPEM, maxFile)
	}
	var found *ecdsa.PrivateKey
	for block := (*pem.Block)(nil); ; {
		if block, text = pem.Decode(text); block == nil {
			break
		}
		key, err := parseKey(block)
		switch {
		case err != nil:
			return nil, err
		case key != nil && found != nil:
			return nil, fmt.Errorf("%w: it holds two keys", ErrPEM)
		case key != nil:
			found = key
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: it holds no key", ErrPEM)
	}
	return found, nil
}

// parseKey is nil for a block that is no key.
func parseKey(block *pem.Block) (*ecdsa.PrivateKey, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the key cannot be read", ErrPEM)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the key is not one of ECDSA on P-256", ErrPEM)
	}
	return ec, nil
}

// NewKey makes a key.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// EncodeKey is a key as PEM.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// EncodeCerts is a chain as PEM.
func EncodeCerts(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

// Request is a certificate request for a key, in DER. It holds nothing but the public key and the proof that the
// other one is there: what the certificate says is not for the asker to choose.
func Request(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return der, nil
}

// ParseRequest is the public key of a certificate request whose asker has the private one. Errors wrap ErrPEM.
func ParseRequest(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > MaxRequest {
		return nil, fmt.Errorf("%w: a request of %d bytes", ErrPEM, len(der))
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be read", ErrPEM)
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the request's key is not one of ECDSA on P-256", ErrPEM)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: the request is not signed by its key", ErrPEM)
	}
	return key, nil
}
