// Package haproxy asks HAProxy over its stats socket.
package haproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/salveops/salve/pkg/transport"
)

// most bounds one answer: what is said about one backend, with thousands of servers.
const most = 4 << 20

// Ask sends one command to the socket, a path or host:port, and returns what is said to it until ctx ends. HAProxy hangs
// up then, so that there is no connection to keep. It tells no error apart from an answer: that is for who knows the command.
func Ask(ctx context.Context, address, command string) ([]byte, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to HAProxy: %w", err)
	}
	defer conn.Close()
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer release()
	_, err = fmt.Fprintln(conn, command)
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(transport.Bound(conn, most))
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // and not that the connection was closed because of it
	}
	if err != nil {
		return nil, fmt.Errorf("ask HAProxy: %w", err)
	}
	return raw, nil
}

// Stat asks for the table of a backend: its own row (2), those of its servers (4), or both (6). A proxy's name may be that of a
// frontend, too, and if that comes first in the configuration HAProxy means it: then the backend is asked for by its number.
func Stat(ctx context.Context, address, backend string, rows int) ([]byte, error) {
	raw, err := Ask(ctx, address, fmt.Sprintf("show stat %s %d -1", backend, rows))
	head, table, _ := bytes.Cut(raw, []byte("\n"))
	if err != nil || !bytes.HasPrefix(head, []byte("# ")) || len(bytes.TrimSpace(table)) > 0 {
		return raw, err
	}
	states, err := Ask(ctx, address, "show servers state "+backend)
	if err != nil {
		return nil, err
	}
	_, servers, _ := bytes.Cut(states, []byte("\n# "))
	_, servers, _ = bytes.Cut(servers, []byte("\n"))
	number, _, ok := bytes.Cut(servers, []byte(" "))
	if !ok {
		return raw, nil // it has no server by which it could be known
	}
	return Ask(ctx, address, fmt.Sprintf("show stat %s %d -1", number, rows))
}
