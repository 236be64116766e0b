package transport

import (
	"errors"
	"net"
)

// ErrTooMuch: the other end sent more than it may.
var ErrTooMuch = errors.New("the other end sent too much")

// Bounded is a connection that takes so many bytes and no more, for protocols whose answers have no end by themselves:
// who is asked must not fill the memory of who asks. It has one reader.
type Bounded struct {
	net.Conn
	Left int64 // bytes; may be set anew between two answers
}

// Read implements net.Conn.
func (b *Bounded) Read(p []byte) (int, error) {
	if b.Left <= 0 {
		return 0, ErrTooMuch
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), b.Left)])
	b.Left -= int64(n)
	return n, err
}
