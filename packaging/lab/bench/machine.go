package main

import (
	"bufio"
	"bytes"
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
	System  string // distribution
	Systemd string
	Monit   string
	Go      string
	Salve   string
	Command string
	Seed    int64
	Tries   int
	Rest    time.Duration
	Ended   time.Time
}

func describe(o Options) Machine {
	m := Machine{
		Cores:   runtime.NumCPU(),
		CPU:     field("/proc/cpuinfo", "model name", ":"),
		System:  strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Systemd: firstLine("systemctl", "--version"),
		Monit:   firstLine(o.Monit, "--version"),
		Go:      runtime.Version(),
		Salve:   firstLine(o.Agent, "--version"),
		Command: o.Command,
		Seed:    o.Seed,
		Tries:   o.Tries,
		Rest:    o.Rest,
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
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
