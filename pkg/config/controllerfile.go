package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
)

// ControllerFile is everything that a node's controller.hcl says.
//
// Node, Data, Listen, Raft, TLS, Queries, Notifiers and Heartbeat are the node's own; the rest is what the controller decides by:
// Replicated puts that into the log.
type ControllerFile struct {
	Node   string // Raft ID of this node; default: the host name
	Data   string // state folder; default $STATE_DIRECTORY, else /var/lib/salve/controller
	Listen Listen
	Raft   Raft
	TLS    *TLS // nil: plain text, on loopback only

	Services    []*FleetService // in order of declaration; a service without a block has the defaults
	Queries     []*Query        // that the leader asks for the hosts
	Breaker     BreakerLimits
	FleetMax    int // hosts that may be acting at once over all services; 0: max(3, 10 % of the hosts)
	Notifiers   []*Notifier
	Escalations []*Escalation
	Windows     []*Window // each with a named time zone: nodes and hosts must agree
	Heartbeat   *Heartbeat

	Files    []string
	Digest   string // sha256 of the file's name and contents; see Replicated for that of what is replicated
	Warnings hcl.Diagnostics
}

// Listen are the addresses that a node serves on, host:port.
type Listen struct {
	GRPC string // agents and operators; default 127.0.0.1:7600
	Raft string // peers; default: this node's entry in Raft.Peers, else 127.0.0.1:7601
	HTTP string // web page, metrics, health; "" is off; default 127.0.0.1:7602
}

// Raft is how the nodes form a cluster.
type Raft struct {
	// BootstrapExpect is how many nodes without state must see each other before they form a cluster: all peers, so
	// that two halves never form one each. 0: this node waits to be added to a cluster. Default: all peers.
	BootstrapExpect int
	// Peers are all nodes, this one included. Without a raft block: this one alone.
	Peers   []Peer
	Profile string // RaftDefault or RaftFast
}

// Peer is one node of the cluster.
type Peer struct {
	ID      string // its node name
	Address string // host:port of its Raft listener
}

// Profiles of Raft's timing.
const (
	RaftDefault = "default" // rides out a disk that stalls for 200 ms
	RaftFast    = "fast"    // for fast disks and networks: the next leader comes sooner
)

// FleetService is what the controller decides about a service by.
type FleetService struct {
	Name           string
	MaxUnavailable Limit    // default: 1 host
	Autonomy       Autonomy // "": each host's own word counts alone; else the stricter of the two
	Owners         string   // free text
	Escalation     string   // for incidents whose rule names none; "" means "default"
	PermitAlways   bool     // permit = "always": nothing of it runs without the controller's leave
	Alone          string   // AloneWait (default) or AloneAct: what a lost host of it is taken to do
	UnsafeAlone    bool     // true whenever it is AloneAct
	Range          hcl.Range
}

// Limit is how many hosts of a service may be out at once.
type Limit struct {
	Hosts int     // counts when Share is 0; 0: none, ever
	Share float64 // of all hosts of the service, above 0 and at most 1; it gives at least one host
}

// BreakerLimits say when so many hosts have the same alert that it is a common cause.
type BreakerLimits struct {
	Share  float64       // of the hosts of a service; default 30 %
	Window time.Duration // alerts that began within it count together; default 5 min
}

// LoadController reads controller.hcl. With errors among the diagnostics the result is nil. Warnings are returned
// with the errors and also kept in Warnings.
func LoadController(path string, o LoadOptions) (*ControllerFile, hcl.Diagnostics) {
	l := newLoader(o)
	l.kinds, l.program, l.file = controllerKinds(), "controller", &ControllerFile{}
	if file := l.sources.read(path, l); file != nil {
		l.decodeControllerFile(l.open(file, "controller file"))
	}
	if !l.diags.HasErrors() {
		l.linkController()
	}
	return l.finishController()
}

func (l *loader) finishController() (*ControllerFile, hcl.Diagnostics) {
	diags := l.sources.arrange(l.diags)
	if diags.HasErrors() {
		return nil, diags
	}
	l.file.Files, l.file.Digest, l.file.Warnings = l.sources.names, l.sources.digest(), diags
	return l.file, diags
}

// decodeControllerFile reads the values of the file.
func (l *loader) decodeControllerFile(b *block) {
	f := l.file
	f.Node = l.hostName(b, "node")
	f.Data = l.folder(b, "data", provided(l.opts.Getenv("STATE_DIRECTORY"), "", defaults.ControllerData))
	f.FleetMax = b.integer("fleet_max")
	f.TLS = l.decodeTLS(b.single("tls"))
	l.decodeListen(b.optional("listen"))
	l.decodeRaft(b.optional("raft"))
	l.decodeBreaker(b.optional("breaker"))
	for _, nested := range b.blocks("service") {
		l.decodeFleetService(nested)
	}
	for _, nested := range b.blocks("query") {
		f.Queries = append(f.Queries, l.decodeFleetQuery(nested))
	}
	l.people.sender = "salve@" + f.Node
	l.decodePeople(b)
	for _, nested := range b.blocks("window") {
		l.decodeWindow(nested)
	}
}
