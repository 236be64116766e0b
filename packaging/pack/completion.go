package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// completions are what shells know of a program: file name → script.
func completions(name, program string, p page) (map[string]string, error) {
	out := map[string]string{}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if name != "salve" {
			out[shell] = ofDaemon(shell, name, p)
			continue
		}
		text, err := exec.Command(program, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion %s: %w", shell, err)
		}
		out[shell] = string(text)
	}
	return out, nil
}

// ofDaemon completes the few words that a daemon knows.
func ofDaemon(shell, name string, p page) string {
	commands := commandsOf(name, p)
	var words, zsh, fish []string
	for _, f := range p.flags {
		words = append(words, f.name)
		zsh = append(zsh, fmt.Sprintf("  '%s[%s]'", f.name,
			strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`).Replace(f.help)))
		fish = append(fish, fmt.Sprintf("complete -c %s -l %s -d '%s'", name, f.name[2:],
			strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(f.help)))
	}
	function := "_" + strings.ReplaceAll(name, "-", "_")
	switch shell {
	case "bash":
		return fmt.Sprintf("# bash completion of %s\n%s() {\n\tcase \"${COMP_WORDS[COMP_CWORD-1]}\" in\n"+
			"\t--config) mapfile -t COMPREPLY < <(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\") ;;\n"+
			"\t*) mapfile -t COMPREPLY < <(compgen -W \"%s\" -- \"${COMP_WORDS[COMP_CWORD]}\") ;;\n\tesac\n}\n"+
			"complete -F %s %s\n", name, function, strings.Join(append(commands, words...), " "), function, name)
	case "zsh":
		return fmt.Sprintf("#compdef %s\n_arguments \\\n%s \\\n  '1:command:(%s)' '*:file:_files'\n",
			name, strings.Join(zsh, " \\\n"), strings.Join(commands, " "))
	}
	if len(commands) > 0 {
		fish = append(fish, fmt.Sprintf("complete -c %s -n __fish_is_first_arg -xa '%s'", name, strings.Join(commands, " ")))
	}
	return strings.Join(fish, "\n") + "\n"
}

// commandsOf are the words that follow the program's name in its usage.
func commandsOf(name string, p page) []string {
	var out []string
	word := regexp.MustCompile(`^ +` + name + ` ([a-z][a-z-]*)`)
	for _, q := range p.text {
		for _, l := range q.lines {
			if m := word.FindStringSubmatch(l); q.title == "Usage" && m != nil && !slices.Contains(out, m[1]) {
				out = append(out, m[1])
			}
		}
	}
	return out
}
