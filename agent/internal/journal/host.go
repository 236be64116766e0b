package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/salveops/salve/pkg/durable"
)

// idBytes is the entropy of host and stream IDs.
const idBytes = 16

func newID() string {
	var b [idBytes]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func validID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == idBytes
}

// hostID reads the host's ID, "" if there is none yet. It lies beside the journal as well as in it,
// because the host stays the same when its journal is lost.
func hostID(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, fileHost))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read host ID: %w", err)
	}
	if id := strings.TrimSpace(string(text)); validID(id) {
		return id, nil
	}
	return "", nil
}

// HostID is the ID of the host whose state lies in a folder. One that has none gets it now, and keeps it, so that a
// machine can enrol before its agent has run.
func HostID(dir string) (string, error) {
	if err := makeDir(dir); err != nil {
		return "", err
	}
	id, err := hostID(dir)
	if err != nil || id != "" {
		return id, err
	}
	id = newID()
	return id, keepHostID(dir, id)
}

// keepHostID writes the ID beside the journal.
func keepHostID(dir, id string) error {
	if err := durable.Write(filepath.Join(dir, fileHost), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("write host ID: %w", err)
	}
	return nil
}
