// Package secret reads passwords when they are needed, so that a changed file holds from the next connection on.
package secret

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// longest is more than any password has.
const longest = 4 << 10

// Read is the text of a file without the line break at its end; "" for no file. The text never gets into an error.
func Read(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if len(text) > longest {
		return "", fmt.Errorf("read password: %s has more than %d bytes", file, longest)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
