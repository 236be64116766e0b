package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
)

// ConfigError is a mistake in the configuration file: no start will ever succeed before it is mended.
type ConfigError struct {
	File string
	Line int
	Text string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("%s:%d: want `greeting = TEXT`, not %q", e.File, e.Line, e.Text)
}

// checkConfig accepts empty lines, comments and `greeting = TEXT`. A missing file is an empty one.
func checkConfig(path string) error {
	if path == "" {
		return nil
	}
	src, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	for i, line := range strings.Split(string(src), "\n") {
		line = strings.TrimSpace(line)
		key, _, ok := strings.Cut(line, "=")
		if line == "" || strings.HasPrefix(line, "#") || ok && strings.TrimSpace(key) == "greeting" {
			continue
		}
		return &ConfigError{File: path, Line: i + 1, Text: line}
	}
	return nil
}

// cache is a file that every piece of work reads. Its first line is the checksum of the rest. A
// missing one is made anew, a corrupt one makes the work fail: a restart does not help, removing
// the file does.
type cache struct{ path string }

var errCorrupt = errors.New("cache is corrupt: checksum does not match")

func (c *cache) use() error {
	if c.path == "" {
		return nil
	}
	src, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return os.WriteFile(c.path, sealed([]byte("nothing yet\n")), 0o644)
	}
	if err != nil {
		return fmt.Errorf("read cache: %w", err)
	}
	_, body, _ := bytes.Cut(src, []byte("\n"))
	if !bytes.Equal(src, sealed(body)) {
		return errCorrupt
	}
	return nil
}

// sealed puts the checksum line before body.
func sealed(body []byte) []byte {
	return append(fmt.Appendf(nil, "%08x\n", crc32.ChecksumIEEE(body)), body...)
}
