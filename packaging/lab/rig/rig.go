// Package rig holds what the demo and the benchmark share: patients that run as systemd units, the
// programs that look after them, and the kernel's figures about all of these.
package rig

import (
	"bytes"
	"os"
)

// LastLines is the end of a file, for messages; "" if it cannot be read.
func LastLines(path string, n int) string {
	src, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	src = bytes.TrimRight(src, "\n")
	lines := bytes.Split(src, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
