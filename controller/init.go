package controller

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
)

// Names of the authority's files in its folder.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
)

// InitOptions of Init.
type InitOptions struct {
	Dir       string   // where files are written; with CA the default is that folder
	CA        string   // folder of an authority that is there; "": one is made in Dir
	Node      string   // name of the node that gets a certificate; "": none
	Addresses []string // names and IP addresses under which the node is dialled
	Operator  string   // who gets a certificate; "": none
	Role      string   // of the operator: viewer, operator, approver or admin
	// Data is the controller's state folder: what root makes for nodes belongs to its owner, who reads it. "": to root.
	Data string
	// Person is who gets the operator's file; nil: this process's user.
	Person *durable.Owner
	Out    io.Writer
	Now    time.Time

	owner *durable.Owner // of Data
}

func (o *InitOptions) validate() error {
	switch {
	case o.Dir == "" && o.CA == "":
		return errors.New("say with --dir where the files go")
	case o.Node == "" && o.Operator == "":
		return errors.New("say with --node or --operator for whom a certificate is made")
	case o.Node != "" && len(o.Addresses) == 0:
		return errors.New("say with --address under which names or IP addresses the node is reached")
	}
	for _, a := range o.Addresses {
		if strings.ContainsAny(a, ":/ ") && strings.Count(a, ":") < 2 || a == "" {
			return fmt.Errorf("--address %q: it is a name or an IP address, without a port", a)
		}
	}
	if o.Dir == "" {
		o.Dir = o.CA
	}
	return nil
}

// Init makes an authority, unless there is one, and certificates by it. Nothing that is there is written over.
func Init(o InitOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	if err := o.folder(); err != nil {
		return err
	}
	a, err := o.authority()
	if err != nil {
		return err
	}
	if o.Node != "" {
		if err := o.node(a); err != nil {
			return err
		}
	}
	if o.Operator != "" {
		return o.operator(a)
	}
	return nil
}

// folder makes Dir. A person may find his file in it, and nobody but its owner may look for others.
func (o *InitOptions) folder() (err error) {
	if o.Data != "" {
		if o.owner, err = durable.OwnerOf(o.Data); err != nil {
			return fmt.Errorf("look at state folder: %w", err)
		}
	}
	if err := durable.Mkdir(o.Dir, 0o711, o.owner); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

func (o *InitOptions) authority() (*authority.Authority, error) {
	if o.CA != "" {
		return authority.Open(filepath.Join(o.CA, caFile), filepath.Join(o.CA, caKeyFile))
	}
	a, err := authority.Create(filepath.Join(o.Dir, caFile), filepath.Join(o.Dir, caKeyFile), o.Now, o.owner)
	if err == nil {
		fmt.Fprintf(o.Out, "authority    %s, and its key in %s: whoever has that is everybody\n", o.path(caFile),
			o.path(caKeyFile))
	}
	return a, err
}

func (o *InitOptions) path(name string) string { return filepath.Join(o.Dir, name) }

// node makes a node's certificate. It is also good for this machine's own addresses, for `salve` on the node itself.
func (o *InitOptions) node(a *authority.Authority) error {
	name := identity.Name{Kind: identity.Controller, ID: o.Node}
	addresses := slices.Clone(o.Addresses)
	for _, own := range []string{o.Node, "localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(addresses, own) {
			addresses = append(addresses, own)
		}
	}
	key, cert, err := issue(a, authority.Order{Name: name, Addresses: addresses, Life: authority.NodeLife, Now: o.Now})
	if err != nil {
		return err
	}
	roots, err := os.ReadFile(filepath.Join(o.from(), caFile))
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	certFile, keyFile := o.path(o.Node+".pem"), o.path(o.Node+"-key.pem")
	if err := put(keyFile, key, 0o600, o.owner); err != nil {
		return err
	}
	if err := put(certFile, credential.EncodeCerts(cert), 0o644, o.owner); err != nil {
		return err
	}
	if there, err := os.ReadFile(o.path(caFile)); err != nil || !bytes.Equal(there, roots) { // the node knows the others by it
		if err := put(o.path(caFile), roots, 0o644, o.owner); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "node         %s, key in %s, until %s\n\nIts controller.hcl says, where the files lie on the node:\n\n"+
		"tls {\n  ca     = %q\n  cert   = %q\n  key    = %q\n  ca_key = %q # only where certificates are given\n}\n\n",
		certFile, keyFile, cert.NotAfter.Format(time.DateOnly), o.path(caFile), certFile, keyFile, filepath.Join(o.from(),
			caKeyFile))
	return nil
}

// from is the folder of the authority.
func (o *InitOptions) from() string {
	if o.CA != "" {
		return o.CA
	}
	return o.Dir
}

// operator makes one file with all that `salve login` needs.
func (o *InitOptions) operator(a *authority.Authority) error {
	role, err := identity.ParseRole(o.Role)
	if err != nil {
		return err
	}
	name := identity.Name{Kind: identity.Operator, ID: o.Operator, Role: role}
	key, cert, err := issue(a, authority.Order{Name: name, Life: authority.OperatorLife, Now: o.Now})
	if err != nil {
		return err
	}
	roots, err := os.ReadFile(filepath.Join(o.from(), caFile))
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	file := o.path("operator-" + o.Operator + ".pem")
	if err := put(file, slices.Concat(key, credential.EncodeCerts(cert), roots), 0o600, o.Person); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "operator     %s, role %s, until %s: salve login --certificate %s\n", file, role,
		cert.NotAfter.Format(time.DateOnly), file)
	return nil
}

func issue(a *authority.Authority, order authority.Order) (key []byte, cert *x509.Certificate, err error) {
	private, err := credential.NewKey()
	if err != nil {
		return nil, nil, err
	}
	if key, err = credential.EncodeKey(private); err != nil {
		return nil, nil, err
	}
	order.Key = &private.PublicKey
	cert, err = a.Issue(order)
	return key, cert, err
}

// put writes a file that is not there.
func put(path string, text []byte, mode os.FileMode, owner *durable.Owner) error {
	err := durable.Create(path, text, mode, owner)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; move it away first", path)
	}
	return err
}
