package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/pkg/transport"
)

// Line makes the connections that Raft speaks over.
type Line interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

var _ Line = (*transport.Transport)(nil)

// Store keeps Raft's log and the few values that Raft must not forget. A write is durable when it returns.
type Store interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// Options are what a node needs.
type Options struct {
	// Name of this node; no other node of the cluster has it.
	Name string
	// Dir is the data folder, made if missing. One process at a time may have it.
	Dir string
	// Listen is the address of the Raft port, Advertise the one by which the peers reach it. "": the one of Peers
	// whose host is Name, else what Listen says.
	Listen, Advertise string
	// API is where agents and people reach this node; peers learn it from its greeting. "": they do not.
	API string
	// Peers are the Raft addresses of the nodes that form the cluster together, with or without this one's own. They
	// are used only while this node has no data.
	Peers []string
	// BootstrapExpect is how many nodes form the cluster together, this one included. 0: it is formed by others, and
	// this node waits to be added.
	BootstrapExpect int
	// Profile is "default" or "fast"; "": default.
	Profile string
	// Line makes connections; it should let in controllers only.
	Line Line
	FSM  *fsm.FSM
	Log  hclog.Logger

	// For tests with faults. With Transport the cluster is Members from the start, and nobody is greeted.
	Transport raft.Transport
	Members   []raft.Server
	Store     Store
	Snapshots raft.SnapshotStore
	// Tune changes Raft's configuration after the profile was applied.
	Tune func(*raft.Config)
}

// Names and addresses become part of Raft's IDs, so they hold none of the characters that separate these.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (o *Options) validate() error {
	switch {
	case !validName.MatchString(o.Name):
		return fmt.Errorf("node name %q: letters, digits, dots, dashes and underscores only, at most 63", o.Name)
	case o.FSM == nil || o.Log == nil:
		return errors.New("a node needs an FSM and a log")
	case o.Dir == "" && (o.Store == nil || o.Snapshots == nil):
		return errors.New("a node needs a data folder")
	case o.Transport == nil && o.Line == nil:
		return errors.New("a node needs a line to its peers")
	}
	if n := len(o.Peers); o.BootstrapExpect > 1 && n != o.BootstrapExpect && n != o.BootstrapExpect-1 {
		return fmt.Errorf("bootstrap_expect is %d, and %d peers are listed: list exactly the nodes that form the cluster "+
			"together, or set bootstrap_expect = 0 and add this one with `salve raft add`", o.BootstrapExpect, n)
	}
	if o.BootstrapExpect < 0 || o.BootstrapExpect == 1 && len(o.Peers) > 1 {
		return fmt.Errorf("bootstrap_expect is %d, and %d peers are listed", o.BootstrapExpect, len(o.Peers))
	}
	return nil
}

// advertise is the address by which peers reach a listener of this node.
func (o *Options) advertise(l net.Listener) (string, error) {
	if o.Advertise != "" {
		return o.Advertise, nil
	}
	for _, p := range o.Peers {
		if host, _, err := net.SplitHostPort(p); err == nil && host == o.Name {
			return p, nil
		}
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("peers cannot reach this node by %s: say which address they can", l.Addr())
	}
	return l.Addr().String(), nil
}
