package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/controller/internal/enroll"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
)

// buildIdentity decides how lines are secured: who this node is, and who may come in.
func (c *controller) buildIdentity(context.Context) (err error) {
	if c.gate, err = access.New(access.Options{Replica: c.fsm, Plain: c.file.TLS == nil, Log: c.log}); err != nil {
		return err
	}
	agents := transport.Options{Log: c.log.Named("transport")}
	peers := agents
	if c.file.TLS != nil {
		if err := c.openCertificate(c.file.TLS); err != nil {
			return err
		}
		// A machine that enrols has no certificate yet, and an operator may have a token: the gate asks each call.
		agents.Source, agents.Authorize, agents.Anonymous = c.own.Config, c.gate.Peer, true
		peers.Source, peers.Authorize, peers.Dialled = c.own.Config, c.gate.PeerOf(identity.Controller), c.gate.Dialled
	}
	if c.lines, err = transport.New(agents); err != nil || c.own == nil {
		c.peers = c.lines // in plain text nobody is told from anybody
		return err
	}
	c.peers, err = transport.New(peers)
	return err
}

// openCertificate reads this node's own certificate, which has to be this node's.
func (c *controller) openCertificate(t *config.TLS) (err error) {
	c.own, err = credential.Open(credential.Files{CA: t.CA, Cert: t.Cert, Key: t.Key,
		Renewed: filepath.Join(c.file.Data, renewedFile)}, c.log.Named("certificate"))
	if err != nil {
		return err
	}
	if name := c.own.Current().Name; name.Kind != identity.Controller || name.ID != c.file.Node {
		return fmt.Errorf("%s: the certificate is for %s, and this node is controller/%s", t.Cert, name.Short(), c.file.Node)
	}
	if t.CAKey == "" {
		c.log.Info("this node gives no certificates: tls.ca_key names no authority's key")
		return nil
	}
	_, err = authority.Open(t.CA, t.CAKey)
	return err
}

// buildEnroll adds what gives hosts and nodes their certificates.
func (c *controller) buildEnroll(context.Context) (err error) {
	if c.own == nil {
		return nil
	}
	c.giver, err = enroll.New(enroll.Options{Proposer: c.arbiter, Authority: c.authority, Roots: authorities{c}.Roots,
		Known: c.fsm, Life: c.file.TLS.HostLife, NodeLife: c.file.TLS.NodeLife, Log: c.log})
	if err != nil {
		return err
	}
	c.giver.Register(c.grpc)
	c.buildRenewal()
	c.countStrangers()
	return nil
}

// authority is the one that signs, nil if this node has none. Its files are read each time, so that a new one counts
// at once.
func (c *controller) authority() *authority.Authority {
	if c.file.TLS.CAKey == "" {
		return nil
	}
	a, err := authority.Open(c.file.TLS.CA, c.file.TLS.CAKey)
	if err != nil {
		c.log.Error("cannot give certificates", "error", err)
		return nil
	}
	return a
}

// authorities are what tokens and new certificates say of who may name a node.
type authorities struct{ c *controller }

var _ adminapi.Authorities = authorities{}

// Pin implements adminapi.Authorities.
func (a authorities) Pin() []byte { return identity.Pin(a.c.own.Current().Root) }

// Roots implements adminapi.Authorities.
func (a authorities) Roots() []byte { return credential.EncodeCerts(a.c.own.Current().Roots...) }

// authorities is nil on plain lines.
func (c *controller) authorities() adminapi.Authorities {
	if c.own == nil {
		return nil
	}
	return authorities{c}
}

// apiAddress is where others reach the port for agents and people: a node that listens on every address is known by
// the name that its peers have for it.
func (c *controller) apiAddress() string {
	at := c.grpcAddress()
	host, port, err := net.SplitHostPort(at)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return at
	}
	for _, p := range c.file.Raft.Peers {
		if p.ID == c.file.Node {
			if host, _, err := net.SplitHostPort(p.Address); err == nil {
				return net.JoinHostPort(host, port)
			}
		}
	}
	return at
}

// reloadCertificate reads it now; a mistake leaves the old one.
func (c *controller) reloadCertificate() error {
	if c.own == nil {
		return nil
	}
	if _, err := c.own.Reload(); err != nil {
		return err
	}
	if c.file.TLS.CAKey != "" && c.authority() == nil {
		return errors.New("the authority's key cannot be used; the log says why")
	}
	return nil
}
