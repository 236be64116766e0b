package arbiter

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// Bounds of an entry.
const (
	maxEntry    = 256 << 10
	maxBatch    = maxEntry - 240 // commands with their tags; the rest is for the entry's own fields
	maxCommand  = maxEntry - 256 // one command without its tag
	maxCommands = 1024
)

// commandsField is the number of Entry.commands.
const commandsField protowire.Number = 4

// NewID is a random name of 32 hex digits: of a generation, of an event stream.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// seal makes of a command what goes into the log. It is decoded before it is proposed, for what cannot be
// decoded stops every replica. Fields that this program does not know are dropped: a newer replica would
// judge by them, and this one not.
func seal(c *logpb.Command) ([]byte, error) {
	b, err := proto.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(b) > maxCommand {
		return nil, ErrTooLarge
	}
	known := &logpb.Command{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, known); err != nil {
		return nil, fmt.Errorf("decode command before proposing it: %w", err)
	}
	if known.GetWhat() == nil {
		return nil, errors.New("the command says nothing that this program knows")
	}
	changed := proto.Size(known) != len(b)
	if h := known.GetHello(); h != nil { // dice are thrown here: the state machine has none
		h.NewStream, h.NewGeneration = NewID(), NewID()
		changed = true
	}
	if !changed {
		return b, nil
	}
	if b, err = proto.Marshal(known); err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(b) > maxCommand {
		return nil, ErrTooLarge
	}
	return b, nil
}

// entry puts sealed commands into one entry of the log.
func entry(format uint32, at int64, node string, commands [][]byte) ([]byte, error) {
	b, err := proto.Marshal(&logpb.Entry{Format: format, At: at, Node: node})
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	for _, c := range commands {
		b = protowire.AppendTag(b, commandsField, protowire.BytesType)
		b = protowire.AppendBytes(b, c)
	}
	return b, nil
}

// sizeInEntry is how much of an entry a sealed command takes.
func sizeInEntry(command []byte) int {
	return protowire.SizeTag(commandsField) + protowire.SizeBytes(len(command))
}
