package pool

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

// pretender is a console that says the same to everybody, over and over if it is asked to, and hangs up.
type pretender struct {
	Target
	says    atomic.Pointer[[]byte]
	endless bool
}

func pretend(t testing.TB, endless bool) *pretender {
	p := &pretender{Target: Target{
		Service: "x", Name: "db", PgBouncer: filepath.Join(t.TempDir(), ".s.PGSQL.6432"), Database: "app", User: "salve",
	}, endless: endless}
	l, err := net.Listen("unix", p.PgBouncer)
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

// greeting lets a client in: authentication is not asked for, and the console is ready.
const greeting = "R\x00\x00\x00\x08\x00\x00\x00\x00" + "Z\x00\x00\x00\x05I"

// row is one of a column, with nothing in it.
const rowOfOne = "D\x00\x00\x00\x0a\x00\x01\x00\x00\x00\x00"

// FuzzConsole: whatever PgBouncer says, it is figures or an error.
func FuzzConsole(f *testing.F) {
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
		c := console{target: p.Target}
		_, _, _ = c.ask(t.Context())
		c.close()
	})
}

// A console that never comes to an end fills no memory.
func TestEndlessConsole(t *testing.T) {
	p := pretend(t, true)
	raw := []byte(greeting + strings.Repeat(rowOfOne, 4096))
	p.says.Store(&raw)
	c := console{target: p.Target}
	defer c.close()
	if _, _, err := c.ask(t.Context()); !errors.Is(err, transport.ErrTooMuch) {
		t.Errorf("endless rows: %v", err)
	}
}
