package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path+NewSuffix, []byte("what a crash left, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "", "second"} {
		if err := Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != text || info.Mode() != 0o600 {
			t.Errorf("%q, %v, %v; want %q", got, err, info.Mode(), text)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v are in the folder, %v", left, err)
	}
}

// After an error the old file is in place, and nothing beside it.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	small := was
	small.Cur = 4096
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := Write(path, make([]byte, 8192), 0o600)
	if back := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); back != nil {
		t.Fatal(back)
	}
	if err == nil {
		t.Fatal("it wrote more than there is room for")
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%v are in the folder", left)
	}
}

// TestCreateFollowsNoLink: also one that somebody puts there after the name was made free.
func TestCreateFollowsNoLink(t *testing.T) {
	victim, file := filepath.Join(t.TempDir(), "victim"), filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(victim, []byte("whole"), 0o600), os.Symlink(victim, file)); err != nil {
		t.Fatal(err)
	}
	if err := Create(file, []byte("text"), 0o644, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("create at a link: %v", err)
	}
	if text, _ := os.ReadFile(victim); string(text) != "whole" {
		t.Errorf("the victim says %q", text)
	}
}
