package remedy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var known = map[Fact]string{FactUnit: "a.service", FactHost: "web-1", FactValue: "-0.5", FactRule: "a\x00b",
	FactInstance: strings.Repeat("x", maxFact+1), FactService: "a ${unit}", FactIncident: "\u202eabc"}

func TestExpand(t *testing.T) {
	for word, want := range map[string]string{
		"plain": "plain", "${unit}": "a.service", "--unit=${unit}": "--unit=a.service", "$${unit}": "${unit}", "$$": "$$", "${host}${unit}": "web-1a.service",
		"--v=${value}": "--v=-0.5", "${service}": "a ${unit}", "$${${host}": "${web-1",
	} {
		got, err := Expand([]string{"/x", word}, known)
		if diff := cmp.Diff([]string{"/x", want}, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", word, err, diff)
		}
	}
	for word, want := range map[string]string{
		"${attempt}": "not known", "${value}": "would be an option", "${rule}": "no line of text", "${incident}": "no line of text",
		"${instance}": "at most 256", "${nobody}": "holds no fact", "${unit": "holds no fact", "${}": "holds no fact",
	} {
		if got, err := Expand([]string{"/x", word}, known); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q became %q, %v; want %q", word, got, err, want)
		}
	}
}

func TestFactsAndOptions(t *testing.T) {
	for word, good := range map[string]bool{
		"--a=${unit}": true, "${unit}": true, "a-${unit}": true, "--a=b-${unit}": true,
		"-${unit}": false, "--${unit}": false, "-n${unit}": false, "--a${unit}=1": false, "--$${${unit}": false,
	} {
		if wrong := checkWord(word); good != (wrong == "") {
			t.Errorf("%q: %q", word, wrong)
		}
	}
}

// FuzzFill: what is JSON with some facts, as the loader finds out, is JSON with any.
func FuzzFill(f *testing.F) {
	f.Add(`{"n": ${count}, "v": ${version}, "t": "$${count}"}`, uint16(30), `7"`)
	f.Add(`["${version}"]`, uint16(1), `","`)
	f.Add(`"${`, uint16(0), "")
	f.Fuzz(func(t *testing.T, text string, count uint16, version string) {
		some, err := Fill(text, map[string]string{"count": "1", "version": `"x"`})
		if err != nil || !json.Valid([]byte(some)) {
			return
		}
		quoted, err := json.Marshal(version)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Fill(text, map[string]string{"count": fmt.Sprint(1 + int(count)), "version": string(quoted)})
		if err != nil || !json.Valid([]byte(got)) {
			t.Errorf("%q with %d and %s: %q, %v", text, count, quoted, got, err)
		}
	})
}

// FuzzExpand: whatever a fact says, there are as many words as were written, none became an option, and none has what a fact
// must not bring in.
func FuzzExpand(f *testing.F) {
	for _, seed := range [][2]string{{"${unit}", "-x"}, {"--a=${unit}", "b c"}, {"$${unit}${unit}", "\n"}, {"${unit", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, word, fact string) {
		if checkWord(word) != "" || CheckCommand([]string{"/x", word}) != "" {
			return
		}
		got, err := Expand([]string{"/x", word, "end"}, map[Fact]string{FactUnit: fact})
		if err != nil {
			return
		}
		if len(got) != 3 || got[0] != "/x" || got[2] != "end" {
			t.Fatalf("%q with %q: %q", word, fact, got)
		}
		option := func(s string) string { s, _, _ = strings.Cut(s, "="); return s }
		if strings.HasPrefix(got[1], "-") && !strings.HasPrefix(option(strings.ReplaceAll(word, "$${", "${")), option(got[1])) {
			t.Fatalf("%q with %q is the option %q", word, fact, got[1])
		}
		bad := func(s string) int { return len(slices.DeleteFunc([]rune(s), unicode.IsPrint)) }
		if bad(got[1]) > bad(word) {
			t.Fatalf("%q with %q is %q", word, fact, got[1])
		}
	})
}
