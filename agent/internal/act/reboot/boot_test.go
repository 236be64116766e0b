package reboot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBegan(t *testing.T) {
	behind := strings.Repeat(" 1", 18)
	for name, c := range map[string]struct {
		stat string
		want time.Duration
		bad  bool
	}{
		"as the kernel writes it": {"1 (systemd) S" + behind + " 250 9 9\n", 2500 * time.Millisecond, false},
		"a name with all in it":   {"1 (a) S 7 ) (b) S" + behind + " 250 9\n", 2500 * time.Millisecond, false},
		"at once":                 {"1 (systemd) S" + behind + " 0\n", 0, false},
		"cut off":                 {"1 (systemd) S" + behind + "\n", 0, true},
		"no number":               {"1 (systemd) S" + behind + " x\n", 0, true},
		"below zero":              {"1 (systemd) S" + behind + " -1\n", 0, true},
		"beyond all time":         {"1 (systemd) S" + behind + " 18446744073709551615\n", 0, true},
		"empty":                   {"", 0, true},
	} {
		got, err := began([]byte(c.stat))
		if (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
}

// What cannot be read is no boot, so that no two unknown ones are the same.
func TestBootedCannotTell(t *testing.T) {
	root := t.TempDir()
	for _, step := range []struct{ path, text string }{
		{"", ""}, {"/proc/sys/kernel/random/boot_id", "\n"}, {"/proc/1/stat", "1 (systemd) S" + strings.Repeat(" 1", 18) + " 250\n"},
	} {
		if step.path != "" {
			if err := os.MkdirAll(filepath.Dir(root+step.path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+step.path, []byte(step.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := booted(root); err == nil {
			t.Errorf("with %q: %+v", step.path, b)
		}
	}
	if b, err := booted(""); err != nil || b.ID == "" {
		t.Errorf("this machine: %+v, %v", b, err)
	}
}
