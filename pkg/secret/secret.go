// Package secret reads passwords when they are needed, so that a changed file holds from the next connection on.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// longest is more than any password has.
const longest = 4 << 10

// Read is the text of a file without the line break at its end; "" for no file. The text never gets into an error.
func Read(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place would wait for ever
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(fmt.Errorf("read password: %s is not a regular file", file), err)
	}
	text, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if len(text) > longest {
		return "", fmt.Errorf("read password: %s has more than %d bytes", file, longest)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
