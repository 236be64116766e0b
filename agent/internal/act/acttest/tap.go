package acttest

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Tap is a socket that leads to the real one. Before the first question passes that has the word in it, do is called.
func Tap(t testing.TB, socket, word string, do func()) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(socket))
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var once sync.Once
	pass := func(near, far net.Conn) {
		defer far.Close()
		for buf := make([]byte, 64<<10); ; {
			n, err := near.Read(buf)
			if bytes.Contains(buf[:n], []byte(word)) {
				once.Do(do)
			}
			if _, lost := far.Write(buf[:n]); err != nil || lost != nil {
				return
			}
		}
	}
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil {
				_ = near.Close()
				continue
			}
			all.Go(func() { pass(near, far) })
			all.Go(func() {
				_, _ = io.Copy(near, far)
				_ = near.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return path
}
