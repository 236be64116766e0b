package credential

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/salveops/salve/pkg/identity"
)

// Errors that callers tell apart.
var (
	// ErrKeyMode: others than its owner and group may read the key.
	ErrKeyMode = errors.New("the key can be read by everybody")
	// ErrPair: certificate, key and authorities do not belong together.
	ErrPair = errors.New("the certificate does not fit")
)

// Files are where a program's credential lies. All three may be one file.
type Files struct {
	CA   string // authorities that may name the other end: one or, while they change, several
	Cert string // the own certificate, followed by intermediates if there are any
	Key  string // its key: ECDSA on P-256
	// Renewed is a file with key and certificate that counts as soon as it was made later than Cert; it need not be
	// there. So a program renews what it was given in files that are not its own to write. "": what is renewed replaces
	// Key, which is then the file of everything.
	Renewed string
}

// Next is where a renewed key and certificate go.
func (f Files) Next() string {
	if f.Renewed != "" {
		return f.Renewed
	}
	return f.Key
}

// Credential is one state of the files.
type Credential struct {
	Name  identity.Name
	Leaf  *x509.Certificate
	Roots []*x509.Certificate
	Root  *x509.Certificate // the one of them that the certificate comes from

	cert   tls.Certificate
	pool   *x509.CertPool
	digest [sha256.Size]byte
}

// Load reads a credential. Each check is one that the other end would make, so that a mistake is named here. Whether
// it is still, or already, valid by the clock is not judged: the clock may be what is wrong.
func Load(f Files) (*Credential, error) {
	c, err := load(f)
	if err != nil || f.Renewed == "" {
		return c, err
	}
	next, err := load(Files{CA: f.CA, Cert: f.Renewed, Key: f.Renewed})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrPair): // its authority is not trusted any more
		return c, nil
	case err != nil:
		return nil, err
	case next.Name == c.Name && next.Leaf.NotBefore.After(c.Leaf.NotBefore):
		return next, nil
	}
	return c, nil
}

func load(f Files) (*Credential, error) {
	texts := map[string][]byte{}
	for _, name := range []string{f.CA, f.Cert, f.Key} {
		text, err := readFile(name, name == f.Key)
		if err != nil {
			return nil, err
		}
		texts[name] = text
	}
	return parse(f, texts)
}

// Parse reads a text that is a whole credential: key, certificate, authorities.
func Parse(bundle []byte) (*Credential, error) {
	return parse(Bundle("bundle"), map[string][]byte{"bundle": bundle})
}

// parse makes a credential of the files' texts.
func parse(f Files, texts map[string][]byte) (*Credential, error) {
	roots, err := Roots(texts[f.CA])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.CA, err)
	}
	chain, err := Certificates(texts[f.Cert])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	key, err := Key(texts[f.Key])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Key, err)
	}
	c := &Credential{Leaf: chain[0], Roots: roots, pool: x509.NewCertPool()}
	for _, r := range roots {
		c.pool.AddCert(r)
	}
	if c.Name, err = identity.Of(c.Leaf); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	if !key.PublicKey.Equal(c.Leaf.PublicKey) {
		return nil, fmt.Errorf("%s: %w: the key in %s is another one's", f.Cert, ErrPair, f.Key)
	}
	if chain, err = c.complete(chain); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Cert, err)
	}
	c.Root, c.cert = chain[len(chain)-1], tls.Certificate{PrivateKey: key, Leaf: c.Leaf}
	sum := sha256.New()
	for _, x := range append(chain, roots...) {
		sum.Write(x.Raw)
	}
	for _, x := range chain {
		c.cert.Certificate = append(c.cert.Certificate, x.Raw)
	}
	sum.Sum(c.digest[:0])
	return c, nil
}

// complete adds the root to the chain that is shown, for those who know no more of it than a fingerprint.
func (c *Credential) complete(chain []*x509.Certificate) ([]*x509.Certificate, error) {
	others := x509.NewCertPool()
	for _, x := range chain[1:] {
		others.AddCert(x)
	}
	found, err := c.Leaf.Verify(x509.VerifyOptions{
		Roots: c.pool, Intermediates: others, CurrentTime: middle(c.Leaf), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPair, err)
	}
	return found[0], nil
}

// middle is a moment at which a certificate is valid.
func middle(c *x509.Certificate) time.Time { return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2) }

// Config is the credential for pkg/transport.
func (c *Credential) Config() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.cert}, RootCAs: c.pool, ClientCAs: c.pool, MinVersion: tls.VersionTLS13,
	}
}

// Expired reports whether it is of no use any more.
func (c *Credential) Expired(now time.Time) bool { return now.After(c.Leaf.NotAfter) }

// Due is when it should be renewed: at two thirds of its life.
func (c *Credential) Due() time.Time {
	return c.Leaf.NotBefore.Add(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore) * 2 / 3)
}

// readFile reads a file that is not too long, and whose mode is right if it is secret.
func readFile(name string, secret bool) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w: no plain file", name, ErrPEM)
	case secret && info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("%s: %w: chmod 600 it", name, ErrKeyMode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return text, nil
}
