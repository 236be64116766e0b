package agenttest

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
)

// Front is the address of a front on 127.0.0.1 that passes on to the real server's socket what it hears, and speaks
// PostgreSQL's way of asking for TLS, with that certificate. With nil it says that it can do no TLS; else it takes no
// other connections.
func Front(t testing.TB, socket string, pair *tls.Certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go front(near, socket, pair)
		}
	}()
	return l.Addr().String()
}

// asksForTLS is the code of the message that asks for it.
const asksForTLS = 80877103

func front(near net.Conn, socket string, pair *tls.Certificate) {
	defer func() { _ = near.Close() }()
	begin := make([]byte, 8)
	if _, err := io.ReadFull(near, begin); err != nil {
		return
	}
	if binary.BigEndian.Uint32(begin[4:]) == asksForTLS {
		begin = nil
		said := "S"
		if pair == nil {
			said = "N"
		}
		if _, err := io.WriteString(near, said); err != nil {
			return
		}
	}
	switch {
	case pair == nil:
	case begin != nil:
		return
	default:
		secured := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{*pair}})
		if secured.Handshake() != nil {
			return
		}
		near = secured
	}
	far, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	go func() {
		_, _ = far.Write(begin)
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
}
