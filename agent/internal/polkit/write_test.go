package polkit

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "40-salve-agent.rules")
	defer syscall.Umask(syscall.Umask(0o077))
	inode := func() uint64 {
		info, err := os.Lstat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o644 {
			t.Errorf("mode is %v", info.Mode())
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	for _, text := range []string{"one", "two"} {
		if err := Write(file, text); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != text {
			t.Fatalf("it says %q, want %q", got, text)
		}
	}
	before := inode()
	if err := Write(file, "two"); err != nil || inode() != before {
		t.Errorf("the same again: %v, or polkit has to read it again", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
}

// TestWriteFollowsNoLink: what stands at the file's or at the temporary file's name is replaced, never written to.
func TestWriteFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim, file := filepath.Join(dir, "victim"), filepath.Join(dir, "x.rules")
	if err := os.WriteFile(victim, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, filepath.Join(dir, ".x.rules.new")} {
		if err := os.Symlink(victim, name); err != nil {
			t.Fatal(err)
		}
		if err := Write(file, "whole"); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is still a link (%v)", file, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if text, _ := os.ReadFile(victim); string(text) != "whole" {
			t.Errorf("the victim says %q", text)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "none", "x.rules"), ""); !errors.Is(err, ErrNoPolkit) {
		t.Errorf("without the folder: %v", err)
	}
	if err := Write(filepath.Join(dir, "x.js"), ""); err == nil {
		t.Error("a name that polkit does not read")
	}
}
