package helper

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/pkg/glob"
)

// List is what root lets the helper do, made out of the agent's allow blocks by the same hand that tells polkit.
type List struct {
	Never []string // globs of units that nothing is done to, whatever May says
	May   []Entry
	// Packages are globs of packages whose versions may be changed.
	Packages []string
}

// Entry is what may be done to the units of one glob.
type Entry struct {
	Pattern string
	Verbs   []string
}

// title is the list's first line: a file without it is none.
const title = `# What salve-agent-helper may do. Made by "salve-agent polkit-rules" at each start and reload of the agent.`

// maxList bounds the file.
const maxList = 1 << 20

// Text is the list as its file says it. Patterns and verbs hold no spaces; whoever makes a list sees to that.
func (l List) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, title)
	for _, p := range l.Never {
		fmt.Fprintln(&b, "never", p)
	}
	for _, e := range l.May {
		fmt.Fprintln(&b, "may", e.Pattern, strings.Join(e.Verbs, " "))
	}
	for _, p := range l.Packages {
		fmt.Fprintln(&b, "package", p)
	}
	return b.String()
}

// ParseList reads what Text wrote, and nothing else.
func ParseList(text string) (List, error) {
	body, ok := strings.CutPrefix(text, title+"\n")
	if !ok {
		return List{}, fmt.Errorf("it does not begin with %q", title)
	}
	var l List
	for line := range strings.Lines(body) {
		words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case words[0] == "never" && len(words) == 2 && glob.Valid(words[1]):
			l.Never = append(l.Never, words[1])
		case words[0] == "may" && len(words) > 2 && glob.Valid(words[1]):
			l.May = append(l.May, Entry{words[1], words[2:]})
		case words[0] == "package" && len(words) == 2 && glob.Valid(words[1]):
			l.Packages = append(l.Packages, words[1])
		default:
			return List{}, fmt.Errorf("it has the line %.200q", line)
		}
	}
	if l.Text() != text {
		return List{}, fmt.Errorf("its last line is not whole")
	}
	return l, nil
}

// Permits reports whether the verb may be done to the unit, given by its primary name.
func (l List) Permits(unit, verb string) bool {
	if slices.ContainsFunc(l.Never, func(p string) bool { return glob.Match(p, unit) }) {
		return false
	}
	return slices.ContainsFunc(l.May, func(e Entry) bool {
		return glob.Match(e.Pattern, unit) && slices.Contains(e.Verbs, verb)
	})
}

// PermitsPackage reports whether versions of the package may be changed.
func (l List) PermitsPackage(name string) bool {
	return slices.ContainsFunc(l.Packages, func(p string) bool { return glob.Match(p, name) })
}

// ReadList reads the list, if only root could have written it: a plain file in folders that nobody else can change.
func ReadList(path string) (List, error) {
	if err := owned.Way(path); err != nil {
		return List{}, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return List{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return List{}, fmt.Errorf("%s is no plain file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxList+1))
	if err != nil {
		return List{}, err
	}
	if len(text) > maxList {
		return List{}, fmt.Errorf("%s is longer than %d bytes", path, maxList)
	}
	l, err := ParseList(string(text))
	if err != nil {
		return List{}, fmt.Errorf("%s is no list of Salve's: %w", path, err)
	}
	return l, nil
}
