package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal is both ends of a terminal: what a person holds, and what a program sees.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func TestConfirmAsksOnATerminal(t *testing.T) {
	for answer, meant := range map[string]bool{"y": true, "Y": true, "yes": true, "n": false, "": false, "yep": false} {
		t.Run(answer, func(t *testing.T) {
			person, program := terminal(t)
			if _, err := person.WriteString(answer + "\n"); err != nil {
				t.Fatal(err)
			}
			a := &app{Options: Options{In: program, Err: program}}
			err := a.confirm(false, "Host %s is struck off", "web-1\x1b[2J")
			if (err == nil) != meant {
				t.Errorf("the answer %q gives %v", answer, err)
			}
			asked := ""
			for piece := make([]byte, 4096); !strings.Contains(asked, "[y/N] "); { // the answer's echo comes, too
				n, err := person.Read(piece)
				if err != nil {
					t.Fatal(err)
				}
				asked += string(piece[:n])
			}
			if !strings.Contains(asked, "Host web-1?[2J is struck off. Is it meant? [y/N] ") {
				t.Errorf("it asked %q", asked)
			}
		})
	}
}

// Where nobody can answer, nothing is assumed; and --yes asks nobody.
func TestConfirmWithoutATerminal(t *testing.T) {
	_, program := terminal(t)
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer w.Close()
	if _, err := w.WriteString("y\n"); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"input is a pipe":   {In: pipe, Err: program},
		"nobody sees it":    {In: program, Err: &bytes.Buffer{}},
		"there is no input": {Err: program},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{Options: o}
			if err := a.confirm(false, "x"); exitCode(err) != exitUsage {
				t.Errorf("got %v, want a fault of the command line", err)
			}
			if err := a.confirm(true, "x"); err != nil {
				t.Errorf("with --yes: %v", err)
			}
		})
	}
}
