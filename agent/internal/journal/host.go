package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// keepHostID writes the ID beside the journal.
func keepHostID(dir, id string) error {
	temp := filepath.Join(dir, fileHost+".new")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write host ID: %w", err)
	}
	_, err = f.WriteString(id + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = replace(temp, filepath.Join(dir, fileHost))
	}
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("write host ID: %w", err)
	}
	return nil
}
