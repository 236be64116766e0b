package exposition

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// page reads a page and writes what came out, one sample a line, the error last.
func page(p *Parser, r io.Reader, f Format) string {
	var b strings.Builder
	p.Reset(r, f)
	for p.Next() {
		s := p.Sample()
		labels, err := Labels(s.Series)
		fmt.Fprintf(&b, "%s", s.Name)
		for _, l := range labels {
			fmt.Fprintf(&b, " %s=%q", l.Name, l.Value)
		}
		fmt.Fprintf(&b, " %v", s.Value)
		if s.Timed {
			fmt.Fprintf(&b, " @%d", s.Millis)
		}
		if err != nil {
			fmt.Fprintf(&b, " error: %s", err)
		}
		b.WriteString("\n")
	}
	if err := p.Err(); err != nil {
		fmt.Fprintf(&b, "error: %s\n", err)
	}
	return b.String()
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		name   string
		format Format
		page   string
		want   string
	}{
		{"empty", Text, "", ""},
		{"plain", Text, "# HELP up x\n# TYPE up gauge\nup 1\n\n \t up2\t -2.5e3 \n", "up 1\nup2 -2500\n"},
		{"labels", Text, `a{x="1",y="2",} 3` + "\n" + `a { x = "1" } 3` + "\n" + `b{} 4` + "\n",
			`a x="1" y="2" 3` + "\n" + `a x="1" 3` + "\nb 4\n"},
		{"escapes", Text, `a{x="q\"b\\n\n}#"} 3` + "\n", `a x="q\"b\\n\n}#" 3` + "\n"},
		{"utf-8 in a value", Text, "a{x=\"grün\"} 1\n", "a x=\"grün\" 1\n"},
		{"not finite", Text, "a NaN\na +Inf\na -Inf\n", "a NaN\na +Inf\na -Inf\n"},
		{"times", Text, "a 1 1700000000000\na 1 -5\na 1 0\n", "a 1 @1700000000000\na 1 @-5\na 1 @0\n"},
		{"colons", Text, "job:up:sum 1\n", "job:up:sum 1\n"},
		{"names in quotes are passed over", Text, `{"a.b",x="1"} 3` + "\nup 1\n", "up 1\n"},
		{"OpenMetrics", OpenMetrics, "# TYPE a counter\na_total{x=\"1\"} 3 1.5 # {trace_id=\"a}b\"} 0.5 1.2\n# EOF\n",
			"a_total x=\"1\" 3 @1500\n"},
		{"exemplar without a time", OpenMetrics, "a_total 3 # {} 0.5\n# EOF", "a_total 3\n"},
		{"OpenMetrics cut short", OpenMetrics, "a 1\n", "a 1\nerror: " + errEnd.Error() + "\n"},
		{"OpenMetrics with more", OpenMetrics, "a 1\n# EOF\nb 1\n", "a 1\nerror: line 3: " + errMore.Error() + "\n"},
		{"text knows no end", Text, "# EOF\na 1\n", "a 1\n"},
		{"cut in a line", Text, "a 1\nb 12", "a 1\nerror: " + errHalf.Error() + "\n"},
		{"HTML", Text, "<html>\n", "error: line 1: " + errName.Error() + "\n"},
		{"no value", Text, "a 1\na\n", "a 1\nerror: line 2: \"\" is not the value of a sample\n"},
		{"word as value", Text, "a one\n", "error: line 1: \"one\" is not the value of a sample\n"},
		{"number out of range", Text, "a 1e999\n", "error: line 1: \"1e999\" is not the value of a sample\n"},
		{"exemplar in text", Text, "a 1 # {} 1\n", "error: line 1: \"#\" is not the time of a sample\n"},
		{"a third number", Text, "a 1 2 3\n", "error: line 1: \"3\" comes after the sample\n"},
		{"seconds in text", Text, "a 1 1.5\n", "error: line 1: \"1.5\" is not the time of a sample\n"},
		{"time without sense", OpenMetrics, "a 1 1e300\n# EOF\n", "error: line 1: \"1e300\" is not the time of a sample\n"},
		{"labels without end", Text, "a{x=\"1\" 3\n", "error: line 1: the labels have no end\n"},
		{"quotes without end", Text, "a{x=\"1} 3\n", "error: line 1: the labels have no end\n"},
		{"escape at the end", Text, "a{x=\"1\\\n", "error: line 1: the labels have no end\n"},
		{"no quotes", Text, "a{x=1} 3\n", "a 3 error: the value of the label x has no quotes\n"},
		{"no name", Text, "a{=\"1\"} 3\n", "a 3 error: a label is written name=\"value\"\n"},
		{"no equals sign", Text, "a{x} 3\n", "a 3 error: a label is written name=\"value\"\n"},
		{"no comma", Text, "a{x=\"1\"y=\"1\"} 3\n", "a 3 error: a comma is missing after the label x\n"},
		{"two commas", Text, "a{x=\"1\",,} 3\n", "a 3 error: a label is written name=\"value\"\n"},
		{"label twice", Text, "a{x=\"1\",x=\"2\"} 3\n", "a 3 error: the label x is there twice\n"},
		{"broken UTF-8", Text, "a{x=\"\xff\"} 3\n", "a 3 error: the value of the label x is not UTF-8\n"},
		{"unknown escape", Text, `a{x="\t"} 3` + "\n", `a 3 error: the value of the label x has an unknown escape, \t` + "\n"},
		{"colon in a label", Text, "a{x:y=\"1\"} 3\n", "a 3 error: a label is written name=\"value\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(nil)
			for _, r := range []io.Reader{strings.NewReader(c.page), iotest.OneByteReader(strings.NewReader(c.page))} {
				if got := page(p, r, c.format); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
			}
		})
	}
}

func TestUnwantedLinesAreNotRead(t *testing.T) {
	p := New(func(name []byte) bool { return string(name) == "b" })
	if got := page(p, strings.NewReader("a what is this\nb 1\nbb{ 2\n"), Text); got != "b 1\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	p := New(func(name []byte) bool { return string(name) != "other" })
	text := "# HELP a " + long + "\nother{x=\"" + long + "\"} 1\n{\"" + long + "\"} 1\na 1\n"
	if got := page(p, strings.NewReader(text), Text); got != "a 1\n" {
		t.Errorf("long lines that nobody wants:\n%.200s", got)
	}
	if got := page(p, strings.NewReader("a{x=\""+long+"\"} 1\n"), Text); got != "error: line 1: "+errLine.Error()+"\n" {
		t.Errorf("a long line that somebody wants:\n%.200s", got)
	}
}

// endless is a page without an end.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, strings.Repeat("a 1\n", len(b)/4+1))
	e.read += n
	return n, nil
}

func TestEndlessPage(t *testing.T) {
	p, source := New(func([]byte) bool { return false }), &endless{}
	if got := page(p, source, Text); got != "error: "+errPage.Error()+"\n" || source.read > maxPage+1 {
		t.Errorf("after %d bytes: %s", source.read, got)
	}
	full := strings.Repeat("a 1\n", maxPage/4)
	if got := page(p, strings.NewReader(full), Text); got != "" {
		t.Errorf("a page of just the longest length: %s", got)
	}
}

func TestReadErrorIsTold(t *testing.T) {
	broken := errors.New("connection reset")
	p := New(nil)
	r := io.MultiReader(strings.NewReader("a 1\nb 2"), iotest.ErrReader(broken))
	if got := page(p, r, Text); got != "a 1\nerror: connection reset\n" || !errors.Is(p.Err(), broken) {
		t.Errorf("got %s", got)
	}
}

func TestTooManyLabels(t *testing.T) {
	var b strings.Builder
	for i := range maxLabels + 1 {
		fmt.Fprintf(&b, `l%d="",`, i)
	}
	if _, err := Labels([]byte("a{" + b.String() + "}")); err == nil {
		t.Error("taken")
	}
}

func TestNothingIsAllocatedForALine(t *testing.T) {
	text := strings.Repeat("http_request_duration_seconds_bucket{code=\"200\",le=\"0.5\"} 1.2345678901234567e+06\n", 1000)
	p, r := New(nil), strings.NewReader(text)
	if n := testing.AllocsPerRun(10, func() {
		r.Reset(text)
		for p.Reset(r, Text); p.Next(); {
		}
	}); n > 0 {
		t.Errorf("%v allocations for a page", n)
	}
}
