package agenttest

import (
	"bufio"
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
	said := bufio.NewReader(near) // what came in one piece goes on in one: PgBouncer takes no half of a first message
	begin, err := said.Peek(8)
	if err != nil {
		return
	}
	if binary.BigEndian.Uint32(begin[4:]) == asksForTLS {
		_, _ = said.Discard(len(begin))
		answer := "S"
		if pair == nil {
			answer = "N"
		}
		if _, err := io.WriteString(near, answer); err != nil {
			return
		}
		if pair != nil {
			secured := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{*pair}})
			if secured.Handshake() != nil {
				return
			}
			near, said = secured, bufio.NewReader(secured)
		}
	} else if pair != nil {
		return
	}
	far, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(far, said)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
}
