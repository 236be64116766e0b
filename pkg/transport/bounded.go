package transport

import (
	"errors"
	"net"
	"sync/atomic"
)

// ErrTooMuch: the other end sent more than it may.
var ErrTooMuch = errors.New("the other end sent too much")

// Bounded is a connection that takes so many bytes and no more, for protocols whose answers have no end by themselves:
// who is asked must not fill the memory of who asks. It has one reader at a time, which may be another goroutine than
// the one that allows more. Make it with Bound.
type Bounded struct {
	net.Conn
	left atomic.Int64
}

// Bound bounds a connection to so many bytes.
func Bound(c net.Conn, bytes int64) *Bounded {
	b := &Bounded{Conn: c}
	b.Allow(bytes)
	return b
}

// Allow lets so many bytes come from now on, between two answers.
func (b *Bounded) Allow(bytes int64) { b.left.Store(bytes) }

// Read implements net.Conn.
func (b *Bounded) Read(p []byte) (int, error) {
	left := b.left.Load()
	if left <= 0 {
		return 0, ErrTooMuch
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.left.Add(-int64(n))
	return n, err
}
