package helper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstHandedOver is where systemd puts the first socket that it hands over.
const firstHandedOver = 3

// listener is the socket that systemd handed over.
func listener() (*net.UnixListener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" {
		return nil, errors.New("systemd handed over no socket: this program is started by salve-agent-helper.socket")
	}
	file := os.NewFile(firstHandedOver, "socket")
	defer file.Close() // the listener has its own
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take the socket over: %w", err)
	}
	ours, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the socket at %v is none of files", l.Addr()), l.Close())
	}
	return ours, nil
}
