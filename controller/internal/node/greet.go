package node

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// Every connection to the Raft port begins with a greeting and its answer:
//
//	magic    8 bytes
//	version  1 byte
//	length   2 bytes, big endian
//	text     JSON
//
// A program of another greeting version is refused by the first nine bytes; fields that one side does not know are
// left out of its judgement.
const (
	greetMagic   = "SALVEHI\n"
	greetVersion = 1
	maxGreeting  = 8 << 10
)

// What a greeting is for.
const (
	kindLook  = "look"  // who is there?
	kindClaim = "claim" // become one of my cluster
	kindRaft  = "raft"  // let me speak to Raft
)

var (
	// errGreeting: whoever is at the other end does not speak as a controller does.
	errGreeting = errors.New("no greeting of a salve-controller")
	// errVersion: he does, and of another version.
	errVersion = errors.New("another version of the greeting")
)

// greeting is what either end says of itself.
type greeting struct {
	Kind     string `json:"kind,omitempty"` // not in answers
	Name     string `json:"name"`
	Identity string `json:"identity"`
	Cluster  string `json:"cluster,omitempty"` // "": of none yet
	// State says that there is data of a cluster.
	State bool `json:"state,omitempty"`
	// Format is the newest level of the log that the program knows, Level the one that its log is at.
	Format uint32 `json:"format,omitempty"`
	Level  uint32 `json:"level,omitempty"`
	// API is where agents and people reach the node.
	API string `json:"api,omitempty"`
	// Wants is the ID of who should answer; for claim and raft.
	Wants raft.ServerID `json:"wants,omitempty"`
	// Seen are the IDs of all nodes without data that this one reaches, itself included, sorted; in answers to look.
	Seen []raft.ServerID `json:"seen,omitempty"`
	// No is why the answer is no.
	No string `json:"no,omitempty"`
}

func (g *greeting) id() raft.ServerID { return idOf(g.Name, g.Identity) }

// write sends a greeting in one piece.
func (g *greeting) write(w io.Writer) error {
	text, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("write greeting: %w", err)
	}
	if len(text) > maxGreeting {
		return fmt.Errorf("write greeting: %d bytes are too many", len(text))
	}
	b := append([]byte(greetMagic), greetVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	if _, err := w.Write(append(b, text...)); err != nil {
		return fmt.Errorf("write greeting: %w", err)
	}
	return nil
}

// readGreeting reads not a byte more than the greeting: what follows is Raft's.
func readGreeting(r io.Reader) (*greeting, error) {
	head := make([]byte, len(greetMagic)+3)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	if string(head[:len(greetMagic)]) != greetMagic {
		return nil, errGreeting
	}
	if v := head[len(greetMagic)]; v != greetVersion {
		return nil, fmt.Errorf("%w: %d, and this program knows %d: upgrade the older one", errVersion, v, greetVersion)
	}
	length := binary.BigEndian.Uint16(head[len(greetMagic)+1:])
	if length > maxGreeting {
		return nil, errGreeting
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	g := new(greeting)
	if err := json.Unmarshal(text, g); err != nil {
		return nil, fmt.Errorf("%w: %w", errGreeting, err)
	}
	if !validName.MatchString(g.Name) || len(g.Identity) != 32 {
		return nil, fmt.Errorf("%w: it has no name", errGreeting)
	}
	return g, nil
}
