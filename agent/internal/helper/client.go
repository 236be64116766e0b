package helper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/salveops/salve/agent/internal/order"
)

// Paths of an installed helper. The folder is root's, so that nobody else puts another socket or list there.
const (
	Socket   = "/run/salve-helper/socket"
	ListFile = "/run/salve-helper/allow"
)

// Client asks a helper. The zero value has none to ask.
type Client struct{ Socket string }

// Present reports whether there is a helper: whether its socket exists.
func (c Client) Present() bool {
	info, err := os.Stat(c.Socket)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// Ask has an order carried out. The job that it became is queued and not over; 0 means that it takes none. An error
// that is no order.ErrLost means that nothing was done.
func (c Client) Ask(ctx context.Context, o order.Order) (job int, err error) {
	line, err := encode(o)
	if err != nil || len(line) > maxRequest {
		return 0, fmt.Errorf("the order has %d bytes, too many for the helper: %w", len(line), err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return 0, fmt.Errorf("the helper cannot be asked, nothing was done: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	// A helper that refuses whoever asks answers without reading, so what counts is the answer.
	_, writeErr := conn.Write(line)
	a, err := readAnswer(conn)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: helper: %w", order.ErrLost, errors.Join(writeErr, err, context.Cause(ctx)))
	case a.Lost:
		return 0, fmt.Errorf("%w: helper: %s", order.ErrLost, a.Error)
	case a.Error != "":
		return 0, fmt.Errorf("the helper refused: %s", a.Error)
	}
	return a.Job, nil
}

func readAnswer(r io.Reader) (answer, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxAnswer)).ReadBytes('\n')
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	return a, nil
}
