package remedy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fact is the name of something that is known of an attempt, and that a word of a command may hold as ${name}. In words
// that hold facts, $${ stands for the text ${.
type Fact string

// Facts that exist.
const (
	FactHost     Fact = "host"     // this host's name
	FactService  Fact = "service"  // service of the alert
	FactUnit     Fact = "unit"     // unit of the alert
	FactInstance Fact = "instance" // what the alert is about: unit, mount, device, pool
	FactRule     Fact = "rule"     // rule that fired
	FactIncident Fact = "incident" // ID of the incident
	FactAttempt  Fact = "attempt"  // ID of this attempt
	FactValue    Fact = "value"    // number: the first signal of the rule's condition, in base units
)

// Facts lists the facts that exist.
func Facts() []string {
	return []string{string(FactHost), string(FactService), string(FactUnit), string(FactInstance), string(FactRule),
		string(FactIncident), string(FactAttempt), string(FactValue)}
}

// maxFact is more than any fact has that somebody named.
const maxFact = 256

// piece is a part of a word: a text, or else a fact.
type piece struct {
	text string
	fact Fact
}

var pieces = regexp.MustCompile(`\$\$\{|\$\{([^{}]*)\}?`)

// parseWord takes a word apart that may hold these facts.
func parseWord(word string, facts []string) (found []piece, wrong string) {
	at := 0
	for _, m := range pieces.FindAllStringSubmatchIndex(word, -1) {
		found = append(found, piece{text: word[at:m[0]]})
		at = m[1]
		if m[2] < 0 {
			found = append(found, piece{text: "${"})
			continue
		}
		name := word[m[2]:m[3]]
		if !slices.Contains(facts, name) || word[m[1]-1] != '}' {
			return nil, fmt.Sprintf("%q holds no fact in ${ }; there are %s", word, strings.Join(facts, ", "))
		}
		found = append(found, piece{fact: Fact(name)})
	}
	return append(found, piece{text: word[at:]}), ""
}

// checkWord returns what is wrong with a word of a command, or "". A fact must not become an option, whatever it says.
func checkWord(word string) string {
	found, wrong := parseWord(word, Facts())
	before := ""
	for _, p := range found {
		if p.fact != "" && strings.HasPrefix(before, "-") && !strings.Contains(before, "=") {
			return fmt.Sprintf("%q: a fact cannot be part of an option's name; write --option=${%s}, or a word of its own",
				word, p.fact)
		}
		before += p.text
	}
	return wrong
}

// Expand is the command with its facts filled in, each within its own word. It refuses facts that are not known, and what
// a program could take for something else: an option, several lines, nothing at all.
func Expand(argv []string, known map[Fact]string) ([]string, error) {
	words := make([]string, 0, len(argv))
	for _, word := range argv {
		found, wrong := parseWord(word, Facts())
		if wrong != "" {
			return nil, fmt.Errorf("%s", wrong)
		}
		var b strings.Builder
		for _, p := range found {
			text := p.text
			if p.fact != "" {
				text = known[p.fact]
				if err := checkFact(p.fact, text, b.Len() == 0); err != nil {
					return nil, err
				}
			}
			b.WriteString(text)
		}
		words = append(words, b.String())
	}
	if wrong := CheckCommand(words); wrong != "" {
		return nil, fmt.Errorf("%s", wrong)
	}
	return words, nil
}

// Fill is a text with these facts filled in as they are. One that holds others is an error.
func Fill(text string, facts map[string]string) (string, error) {
	found, wrong := parseWord(text, slices.Sorted(maps.Keys(facts)))
	if wrong != "" {
		return "", errors.New(wrong)
	}
	var b strings.Builder
	for _, p := range found {
		b.WriteString(p.text + facts[string(p.fact)])
	}
	return b.String(), nil
}

func checkFact(name Fact, text string, first bool) error {
	switch {
	case text == "":
		return fmt.Errorf("the fact %s is not known here, and an empty argument could mean everything", name)
	case len(text) > maxFact:
		return fmt.Errorf("the fact %s has %d bytes; at most %d", name, len(text), maxFact)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the fact %s is %q, which is no line of text", name, text)
	case first && strings.HasPrefix(text, "-"):
		return fmt.Errorf("the fact %s is %q, which would be an option", name, text)
	}
	return nil
}
