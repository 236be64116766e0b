package postgres

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/salveops/salve/pkg/transport"
)

// pretender is a server that says the same to everybody, over and over if it is asked to, and hangs up.
type pretender struct {
	Target
	says    atomic.Pointer[[]byte]
	endless bool
}

func pretend(t testing.TB, endless bool) *pretender {
	p := &pretender{
		Target:  Target{Address: filepath.Join(t.TempDir(), ".s.PGSQL.6432"), Database: "pgbouncer", User: "salve"},
		endless: endless,
	}
	l, err := net.Listen("unix", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return p
}

// ask connects and asks once.
func (p *pretender) ask(t *testing.T) (Table, error) {
	c, err := Connect(t.Context(), p.Target)
	if err != nil {
		return Table{}, err
	}
	defer c.Close()
	return c.Ask(t.Context(), "SHOW POOLS")
}

func (p *pretender) talk(conn net.Conn) {
	defer conn.Close()
	raw := *p.says.Load()
	_, err := conn.Write(raw)
	for p.endless && err == nil {
		_, err = conn.Write(raw[len(greeting):])
	}
	_ = conn.(*net.UnixConn).CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
}

// greeting lets a client in: authentication is not asked for, and the server is ready.
const greeting = "R\x00\x00\x00\x08\x00\x00\x00\x00" + "Z\x00\x00\x00\x05I"

// row is one of a column, with nothing in it.
const rowOfOne = "D\x00\x00\x00\x0a\x00\x01\x00\x00\x00\x00"

// FuzzAsk: whatever the other side says, it is a table or an error.
func FuzzAsk(f *testing.F) {
	columns := "T\x00\x00\x00\x1f\x00\x01database\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff\x00\x00"
	for _, text := range []string{
		greeting + columns + rowOfOne + "C\x00\x00\x00\x09SHOW\x00" + "Z\x00\x00\x00\x05I",
		greeting + "E\x00\x00\x00\x0cMno\x00C08P01\x00\x00", greeting + "D\x7f\xff\xff\xff", "N", "R\x00\x00\x00\x08\x00\x00\x00\x05", "",
	} {
		f.Add([]byte(text))
	}
	p := pretend(f, false)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p.says.Store(&raw)
		_, _ = p.ask(t)
	})
}

// An answer that never comes to an end fills no memory.
func TestEndlessAnswer(t *testing.T) {
	p := pretend(t, true)
	raw := []byte(greeting + strings.Repeat(rowOfOne, 4096))
	p.says.Store(&raw)
	if _, err := p.ask(t); !errors.Is(err, transport.ErrTooMuch) {
		t.Errorf("endless rows: %v", err)
	}
}
