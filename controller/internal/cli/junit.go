package cli

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/controller/internal/story"
)

// The parts of JUnit's report that CI systems agree on: one suite for each file.

type junitSuites struct {
	XMLName xml.Name      `xml:"testsuites"`
	Suites  []*junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	took     time.Duration
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func junitOf(found testRun) ([]byte, error) {
	var all junitSuites
	byFile := map[string]*junitSuite{}
	for _, t := range found.Tests {
		s := byFile[t.File]
		if s == nil {
			s = &junitSuite{Name: t.File}
			byFile[t.File] = s
			all.Suites = append(all.Suites, s)
		}
		s.Tests++
		s.took += t.took
		s.Time = seconds(s.took)
		c := junitCase{Name: t.Name, Class: t.File, File: t.File, Line: t.Line, Time: seconds(t.took)}
		if !t.Passed {
			s.Failures++
			c.Failure = junitFailureOf(t)
		}
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

// junitFailureOf has the first failure as its message, which systems show in one line, and all of them in its text.
func junitFailureOf(t testCase) *junitFailure {
	f := t.Failures[0]
	message := fmt.Sprintf("at %s, %s: want %s, got %s", f.At, f.Expected, listed(f.Want), listed(f.Got))
	if more := len(t.Failures) - 1; more > 0 {
		message += fmt.Sprintf(" (and %d more)", more)
	}
	var text strings.Builder
	writeTest(story.Printable(&text), t)
	return &junitFailure{Message: message, Text: text.String()}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
