package arbiter

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Ways in which Propose fails. A refusal of the state machine is none of them: it is a result.
var (
	// ErrUnknownOutcome: the command may be committed, now or later. Only a command that says the same when it
	// comes twice may be proposed again.
	ErrUnknownOutcome = errors.New("nobody can tell whether the command was committed")
	// ErrTooLarge: no entry of the log takes the command.
	ErrTooLarge = fmt.Errorf("the command is larger than %d KiB, which is all that an entry of the log may hold", maxCommand>>10)
	// ErrBusy: too many commands wait. Nothing was proposed.
	ErrBusy = fmt.Errorf("more than %d commands, or %d MiB of them, wait to be proposed", maxWaiting, maxWaitSize>>20)
	// ErrStopped: this node's state machine does not go on.
	ErrStopped = errors.New("the state machine of this node has stopped")
)

// ErrNotLeader: nothing was proposed, because another node leads, or none.
type ErrNotLeader struct {
	ID      string // Raft ID of the leader, "": none is known
	Address string // where agents and people reach it, "": not known
}

func (e ErrNotLeader) Error() string {
	if e.ID == "" {
		return "this node does not lead, and knows of no leader"
	}
	return fmt.Sprintf("node %s leads, at %s", e.ID, e.Address)
}

// surelyNot reports whether an error of Raft says that the entry never came into the log. After any other
// one it may be there, and be committed by a later leader.
func surelyNot(err error) bool {
	return errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) ||
		errors.Is(err, raft.ErrEnqueueTimeout)
}
