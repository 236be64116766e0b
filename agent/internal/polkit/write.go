package polkit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/pkg/durable"
)

// ErrNoPolkit says that this host's polkit has no JavaScript rules, or that there is none.
var ErrNoPolkit = errors.New("polkit has no folder for rules here, so it will let the agent change no unit")

// Write puts polkit's rules at path. polkit looks at the folder and takes over what is renamed into it.
func Write(path, text string) error {
	if !strings.HasSuffix(path, ".rules") {
		return fmt.Errorf("polkit reads only files that end in .rules, not %s", path)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return fmt.Errorf("%w (%s)", ErrNoPolkit, dir)
	}
	return Put(path, text)
}

// Put puts the text at path, whole or not at all. A file that says the same already is left alone.
func Put(path, text string) error {
	dir := filepath.Dir(path)
	if same(path, text) {
		return nil
	}
	temporary := filepath.Join(dir, "."+filepath.Base(path)+".new") // its end hides it from polkit
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier run left: %w", err)
	}
	if err := durable.Create(temporary, []byte(text), mode, nil); err != nil { // which follows no link
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := durable.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary) // gone, if only the folder could not be synced
		return fmt.Errorf("put %s in place: %w", path, err)
	}
	return nil
}

// same reports whether a plain file with this text and the right mode is there already.
func same(path, text string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		return false
	}
	old, err := os.ReadFile(path)
	return err == nil && bytes.Equal(old, []byte(text)) && owned.Check(path) == nil
}

// mode lets everybody read what may be done, and nobody but root write them.
const mode = 0o644
