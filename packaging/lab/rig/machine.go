package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine says where a run was made, and with which programs.
type Machine struct {
	Cores  int
	CPU    string
	Kernel string
	System string // distribution
	With   []string
	Ended  time.Time
}

// ThisMachine is this one, with programs.
func ThisMachine(with ...string) Machine {
	m := Machine{
		Cores:  runtime.NumCPU(),
		CPU:    field("/proc/cpuinfo", "model name", ":"),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
		With:   with,
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// Headline is the first line of a report.
func (m *Machine) Headline() string {
	return fmt.Sprintf("Measured %s in one run: %d cores (%s), Linux %s, %s; %s.\n", m.Ended.UTC().Format("2006-01-02"),
		m.Cores, m.CPU, m.Kernel, m.System, strings.Join(m.With, "; "))
}

// field is the value of the first line of a file that begins with key.
func field(path, key, separator string) string {
	src, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	lines := bufio.NewScanner(bytes.NewReader(src))
	for lines.Scan() {
		k, v, ok := strings.Cut(lines.Text(), separator)
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// FirstLine is how a program names its version.
func FirstLine(argv ...string) string {
	if argv[0] == "" {
		return "not measured"
	}
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(strings.TrimPrefix(line, "This is "))
}
