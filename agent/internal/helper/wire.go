package helper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/salveops/salve/agent/internal/order"
)

// Limits of what is said over the socket: one line there and one line back.
const (
	maxRequest = 4 << 10
	maxAnswer  = 4 << 10
)

// answer is the line that goes back.
type answer struct {
	Job   int    `json:"job,omitempty"`   // that was queued; 0: none was needed
	Error string `json:"error,omitempty"` // why it was not done
	Lost  bool   `json:"lost,omitempty"`  // nobody knows whether it was
}

// Parse reads a request without its end of line. It takes exactly what encode writes: no word twice, none in other
// letters, nothing behind it. So there is one reading of it, whoever reads.
func Parse(line []byte) (order.Order, error) {
	if len(line) > maxRequest {
		return order.Order{}, fmt.Errorf("the request is longer than %d bytes", maxRequest)
	}
	var o order.Order
	if err := json.Unmarshal(line, &o); err != nil {
		return order.Order{}, fmt.Errorf("the request cannot be read: %.200s", err.Error())
	}
	if again, err := encode(o); err != nil || !bytes.Equal(again, append(line[:len(line):len(line)], '\n')) {
		return order.Order{}, errors.New("the request is not written as Salve's agent writes it")
	}
	return o, o.Check()
}

// encode is v as one line.
func encode(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	return append(line, '\n'), err
}
