package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLogin: a file that is no login is an error, never a plain line.
func FuzzLogin(f *testing.F) {
	f.Add([]byte(`{"addresses": ["127.0.0.1:7600"], "token": "x", "roots": "x"}`))
	f.Add([]byte(`{"bundle": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLogin(text)
		if err != nil {
			return
		}
		if lines, _, err := l.line(); err == nil && lines.Plain() {
			t.Errorf("%q is spoken plain", text)
		}
	})
}

// What is not a login is said, and others may not read one.
func TestLoginFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "login.json")
	a := &app{Options: Options{Getenv: func(name string) string { return map[string]string{"SALVE_LOGIN": path}[name] }}}
	if l, err := a.loggedIn(); l != nil || err != nil {
		t.Errorf("no file: %v, %v", l, err)
	}
	for text, want := range map[string]string{"{": "salve login makes it anew", "{}": "neither a token nor a certificate"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := a.loggedIn(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := a.loggedIn(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("the group may read it: %v", err)
	}
}

// A login is for its own controller: another one on this machine is spoken to as before, and nothing else is.
func TestLoginIsForItsController(t *testing.T) {
	l := &login{Addresses: []string{"ctl-1:7600", "127.0.0.1:7600"}}
	for address, elsewhere := range map[string]bool{
		"ctl-1:7600": false, "127.0.0.1:7600": false, "ctl-9:7600": false, "192.0.2.1:7600": false,
		"127.0.0.1:9000": true, "localhost:7600": true, "[::1]:7600": true, "127.0.0.1:9000,ctl-9:7600": false,
	} {
		if got := (&app{address: address}).elsewhere(l); got != elsewhere {
			t.Errorf("%s: plain %t", address, got)
		}
	}
}
