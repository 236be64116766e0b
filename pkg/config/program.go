package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/salveops/salve/pkg/remedy"
)

// command reads an argv whose program the action of an allow block must permit.
func (b *block) command(name, action string) []string {
	if !b.has(name) {
		return nil
	}
	words := b.texts(name)
	if wrong := remedy.CheckCommand(plain(words)); wrong != "" {
		b.fail(name, "Wrong command", "%s: %s.", name, wrong)
	}
	b.program(words, action)
	return plain(words)
}

// program notes that the program of an argv needs leave, which is judged once all allow blocks are
// known, and looks at the file.
func (b *block) program(argv []word, action string) {
	if remedy.CheckCommand(plain(argv)) != "" {
		return // reported already
	}
	b.l.programs = append(b.l.programs, program{argv[0], action})
	if b.l.opts.Offline {
		return
	}
	if wrong := checkProgram(argv[0].text); wrong != "" {
		b.l.fail(argv[0].at, "Unsafe or missing program", "%s.", wrong)
	}
}

// program is a program that some block wants to run.
type program struct {
	word
	action string
}

// othersMayWrite are the permission bits by which somebody else could put his own words into a file.
const othersMayWrite = 0o022

// checkProgram returns why the agent must not run the file, or "". Whoever can write the program, or
// a folder on the way to it, can make the agent run anything.
func checkProgram(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Sprintf("%s cannot be run: %s", path, reason(err))
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Sprintf("%s cannot be run: %s", path, reason(err))
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return fmt.Sprintf("%s is a %s, not a program", path, kindOfFile(mode))
	case mode&0o111 == 0:
		return fmt.Sprintf("%s is not executable (mode %04o): chmod 0755 %s", path, mode.Perm(), real)
	case writable(info):
		return fmt.Sprintf("%s can be written by others (mode %04o), who could make the agent run anything: "+
			"chmod go-w %s", path, mode.Perm(), real)
	}
	for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Sprintf("%s cannot be run: %s", path, reason(err))
		}
		if writable(info) && info.Mode()&fs.ModeSticky == 0 { // sticky: others cannot replace what is not theirs
			return fmt.Sprintf("the folder %s of %s can be written by others (mode %04o), who could replace the "+
				"program: chmod go-w %s", dir, path, info.Mode().Perm(), dir)
		}
		if dir == "/" || dir == "." {
			return ""
		}
	}
}

// writable reports whether anyone but the owner and the group root can write the file.
func writable(info fs.FileInfo) bool {
	bits := info.Mode().Perm() & othersMayWrite
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Gid == 0 {
		bits &^= 0o020
	}
	return bits != 0
}
