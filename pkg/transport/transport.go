// Package transport is the one place where lines between programs are made: listeners and dialers for Raft,
// gRPC and HTTP. It decides how a line is secured, so that nobody else can forget to.
//
// With a TLS configuration both ends show a certificate, and Authorize may refuse a peer by its role. Without
// one the line is plain text: then only loopback addresses can be listened on and dialled, whatever a name
// resolves to, and the log says so loudly, once.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Errors that callers tell apart.
var (
	// ErrPlainText: without TLS the address has to be a loopback address.
	ErrPlainText = errors.New("plain text is for loopback only")
	// ErrConfig: the TLS configuration would trust more than it should.
	ErrConfig = errors.New("unsafe TLS configuration")
	// ErrPin: the other end is not known by the pinned authority.
	ErrPin = errors.New("the other end is not who the token names")
)

// dialTimeout is how long making a line may take when the caller's context does not end earlier.
const dialTimeout = 10 * time.Second

// Options say how lines are secured.
type Options struct {
	// TLS holds the own certificate, ClientCAs for listeners and RootCAs for dialers; both have to be set, for
	// an empty pool would mean the system's. Callbacks that load a new certificate work. nil: plain text.
	TLS *tls.Config
	// Source gives such a configuration anew for each line, so that certificates and authorities can change while
	// the program runs. It is never asked for while TLS is set. nil: there is only TLS.
	Source func() *tls.Config
	// Pin is the fingerprint of an authority, by which a machine without a certificate knows the other end; see
	// identity.Pin. With it there are dialers only. nil: none.
	Pin []byte
	// Authorize is asked about each peer whose certificate is valid; its error refuses the peer. nil: every
	// certificate of the CA is welcome.
	Authorize func(peer *x509.Certificate) error
	// Anonymous lets clients in that show no certificate. Whoever serves them has to ask for something else,
	// such as a token.
	Anonymous bool
	// Dialled is told of each secured connection of a Client: who is at the other end, and how to cut it. What it returns
	// is called once the connection is closed. nil: nobody is told.
	Dialled func(peer *x509.Certificate, cut func()) (closed func())
	// Log is told that plain text is spoken. nil: nobody.
	Log hclog.Logger
	// Resolver resolves names before a plain line is made; nil: the system's.
	Resolver Resolver
}

// Resolver finds the addresses of a name.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

var _ Resolver = (*net.Resolver)(nil)

// Transport makes lines. It is safe for concurrent use.
type Transport struct {
	o     Options
	warn  *sync.Once
	count *counts
	clock func() time.Time // by which failures are forgotten; nil: time.Now, and only tests have another
}

// New checks the options. Errors wrap ErrConfig.
func New(o Options) (*Transport, error) {
	if o.TLS != nil && o.Source != nil || (o.TLS != nil || o.Source != nil) && o.Pin != nil {
		return nil, fmt.Errorf("%w: TLS, Source and Pin exclude each other", ErrConfig)
	}
	if o.TLS != nil {
		fixed := o.TLS
		o.Source = func() *tls.Config { return fixed }
	}
	if o.Source != nil {
		if err := checkTLS(o.Source()); err != nil {
			return nil, err
		}
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	return &Transport{o: o, warn: new(sync.Once), count: new(counts)}, nil
}

// Plain reports whether lines are plain text.
func (t *Transport) Plain() bool { return t.o.Source == nil && t.o.Pin == nil }

// For is the same transport with another question to the peers, for a port that has a role of its own.
func (t *Transport) For(authorize func(peer *x509.Certificate) error) *Transport {
	o := t.o
	o.Authorize = authorize
	return &Transport{o: o, warn: t.warn, count: t.count, clock: t.clock}
}

// Listen opens a TCP listener whose connections are secured already; the TLS handshake runs with the first
// read or write, so accepting never waits for a peer. Errors: ErrPlainText.
func (t *Transport) Listen(ctx context.Context, address string) (net.Listener, error) {
	return t.secured(ctx, address)
}

// secured opens a listener that offers the protocols, if any, in the TLS handshake.
func (t *Transport) secured(ctx context.Context, address string, protocols ...string) (net.Listener, error) {
	l, err := t.listen(ctx, address)
	if err != nil || t.Plain() {
		return l, err
	}
	return tls.NewListener(l, t.server(protocols...)), nil
}

// listen opens the bare listener. With TLS it is one that floods of handshakes don't stop.
func (t *Transport) listen(ctx context.Context, address string) (net.Listener, error) {
	if t.o.Pin != nil {
		return nil, fmt.Errorf("listen on %q: %w: a pin is for dialers", address, ErrConfig)
	}
	addresses, err := t.permit(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	l, err := (&net.ListenConfig{KeepAliveConfig: keepAlive()}).Listen(ctx, "tcp", addresses[0])
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, bare(err))
	}
	if t.Plain() {
		return l, nil
	}
	return t.guard(l), nil
}

// Dial opens a secured connection; the TLS handshake is over when it returns. Errors: ErrPlainText.
func (t *Transport) Dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := t.dial(ctx, address)
	if err != nil || t.Plain() {
		return conn, err
	}
	config := t.client()
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("dial %q: %w", address, err)
		}
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	return secured, nil
}

// dial opens the bare connection.
func (t *Transport) dial(ctx context.Context, address string) (net.Conn, error) {
	addresses, err := t.permit(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	var first error
	for _, a := range addresses {
		conn, err := (&net.Dialer{KeepAliveConfig: keepAlive()}).DialContext(ctx, "tcp", a)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = bare(err)
		}
	}
	return nil, fmt.Errorf("dial %q: %w", address, first)
}

// bare is a network error without the operation and address, which the caller says better.
func bare(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
