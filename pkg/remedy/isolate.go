package remedy

import "time"

// IsolateArgs are the arguments of isolate.
type IsolateArgs struct {
	Circuit string        // of the remedy's own service
	For     time.Duration // then it ends by itself; from ShortestCut to LongestCut
}

// Names implements Args.
func (a *IsolateArgs) Names() string { return a.Circuit }

// Lasts implements Limited.
func (a *IsolateArgs) Lasts() time.Duration { return a.For }

// Bounds of how long a circuit may be cut.
const (
	ShortestCut = 5 * time.Second
	LongestCut  = time.Hour
)

func isolate() Spec {
	return Spec{
		Kind: Isolate, Target: OnCircuit, Disruptive: true, Undoable: true,
		Summary: "cut a dependency off for a time: connections to it are rejected at once, its server is taken out of HAProxy, or the " +
			"service is told by a file or over HTTP to do without it",
		Needs: "For addresses: nf_tables in the kernel and CAP_NET_ADMIN, as examples/packet-filter.conf gives it; the agent must " +
			"not run as root, since its own connections are known by its user. For a slice, also: all running units of the service are in " +
			"it, control groups of version 2, and nft_socket from Linux 5.13. For a file: a folder that the agent's user, and else only " +
			"root, can write (ReadWritePaths= in a drop-in). For a server: a stats socket of level admin that the agent can use.",
		Worst: "what the service does with that dependency fails for the whole time, at once, requests under way included. Without " +
			"a slice that is so for every service of this host; with one for all that runs in it, and what is started there anew. Nobody " +
			"else's rules are touched. Never rejected are Salve's own connections, and answers from ports below 1024, such as ssh's; a " +
			"circuit cannot name loopback, addresses of this host, and the ports of ssh, DNS and mail. Containers with a network of their " +
			"own go on as before. The last server of a backend that takes requests is never taken out.",
		Back: "Addresses: the kernel lets them go after \"for\", also if the agent is dead; undo does it early. Files, servers and " +
			"switches: the agent brings them back after \"for\", or as soon as it runs again. With \"until\" that happens earlier, when " +
			"the dependency is seen to be well. Everything is let through again at once: if it is still ill, the rule has to fire again.",
		Args: []Arg{
			{Name: "circuit", Type: String, Required: true, Target: true, Help: "name of a circuit block of the same service"},
			{Name: "for", Type: Duration, Required: true, Min: ShortestCut, Max: LongestCut, Help: "how long, at most"},
		},
		decode: func(r *reader) Args {
			a := &IsolateArgs{Circuit: r.text("circuit"), For: r.duration("for", 0)}
			if r.has("circuit") && a.Circuit == "" {
				r.problem("circuit", "the circuit has no name")
			}
			return a
		},
	}
}
