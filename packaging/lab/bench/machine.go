package main

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

// Machine says where and with what a run was made.
type Machine struct {
	Cores   int
	CPU     string
	Kernel  string
	System  string   // distribution
	With    []string // the peers, and Salve
	Command string
	Seed    int64
	Tries   int
	Rest    time.Duration
	Ended   time.Time
}

// describe says where the agent is measured.
func describe(o Options) Machine {
	m := machine(firstLine("systemctl", "--version"), firstLine(o.Monit, "--version"), runtime.Version(),
		firstLine(o.Agent, "--version"))
	m.Command, m.Seed, m.Tries, m.Rest = o.Command, o.Seed, o.Tries, o.Rest
	return m
}

// machine is this one, with programs.
func machine(with ...string) Machine {
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

// headline is the first line of a report.
func (m *Machine) headline() string {
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

// firstLine is how a program names its version.
func firstLine(argv ...string) string {
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
