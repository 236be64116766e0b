package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Unit is what a unit file of the lab says.
type Unit struct {
	Description string
	Exec        []string // argv
	Restart     string   // systemd's own; "" is "no"
	RestartSec  string   // "" is systemd's default
	Lines       []string // further lines of [Service]
}

// String is the unit file. It has no start limit: systemd's default allows five starts in ten
// seconds, and the lab breaks its patients faster than that.
func (u Unit) String() string {
	var b strings.Builder
	quoted := make([]string, len(u.Exec))
	for i, a := range u.Exec {
		quoted[i] = quote(a)
	}
	fmt.Fprintf(&b, "[Unit]\nDescription=%s\nStartLimitIntervalSec=0\n\n[Service]\n", u.Description)
	fmt.Fprintf(&b, "ExecStart=%s\n", strings.Join(quoted, " "))
	if u.Restart != "" {
		fmt.Fprintf(&b, "Restart=%s\n", u.Restart)
	}
	if u.RestartSec != "" {
		fmt.Fprintf(&b, "RestartSec=%s\n", u.RestartSec)
	}
	for _, l := range u.Lines {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

// quote makes one word of s for a unit file: specifiers and variables in it are taken as they are.
func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(s)
	return `"` + s + `"`
}

// Sibling is a program in the folder of the running one, where `make` puts all of them.
func Sibling(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: build it first (make build), or name it with a flag", err)
	}
	return path, nil
}
