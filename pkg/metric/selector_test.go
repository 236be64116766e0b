package metric

import (
	"strings"
	"testing"
)

func TestSelector(t *testing.T) {
	labels := []Label{{"code", "503"}, {"path", "/a b"}}
	for _, c := range []struct {
		text    string
		written string // "" is as text
		matches bool
	}{
		{"http_requests_total", "", true},
		{" http_requests_total", "http_requests_total", true},
		{"other", "", false},
		{"http_requests_total{}", "http_requests_total", true},
		{`http_requests_total{code=~'5..'}`, `http_requests_total{code=~"5.."}`, true},
		{`http_requests_total { code =~ "5.." , path != "/" , }`, `http_requests_total{code=~"5..",path!="/"}`, true},
		{`http_requests_total{code=~"5."}`, "", false}, // the whole value
		{`http_requests_total{code=~"2..|5.."}`, "", true},
		{`http_requests_total{code!~"5.."}`, "", false},
		{`http_requests_total{code="503",path="/a b"}`, "", true},
		{`http_requests_total{code="503",path="/"}`, "", false},
		{`http_requests_total{missing=""}`, "", true},
		{`http_requests_total{missing!=""}`, "", false},
		{`http_requests_total{path="\x2fa\u0020b"}`, `http_requests_total{path="/a b"}`, true},
		{`http_requests_total{path='it\'s'}`, `http_requests_total{path="it's"}`, false},
		{`http_requests_total{path=~".*"}`, "", true},
	} {
		s, err := ParseSelector(strings.TrimSpace(c.text))
		if err != nil {
			t.Errorf("%s: %s", c.text, err)
			continue
		}
		want := c.written
		if want == "" {
			want = c.text
		}
		if got := s.String(); got != want {
			t.Errorf("%s is written %s, want %s", c.text, got, want)
		}
		if got := s.Matches("http_requests_total", labels); got != c.matches {
			t.Errorf("%s matches: %v", c.text, got)
		}
	}
	if new(Selector).Matches("", nil) {
		t.Error("the zero value matches something")
	}
}

func TestSelectorRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "does not begin with the name"},
		{"5xx", "does not begin with the name"},
		{`{code="5"}`, "does not begin with the name"},
		{"a b", `"b" cannot stand after the name a`},
		{"rate(a[5m])", "cannot stand after the name rate"},
		{"a{", "a condition begins with the name of a label"},
		{"a{5}", "a condition begins with the name of a label"},
		{"a{code}", "after the label code comes = != =~ or !~"},
		{"a{code>1}", "after the label code comes = != =~ or !~"},
		{"a{code=5}", "the value of the label code stands in quotes"},
		{`a{code="5}`, "the value of the label code has no quote at its end"},
		{`a{code="\q"}`, "the value of the label code has an unknown escape"},
		{`a{code="5"`, `after the condition on code comes "," or "}"`},
		{`a{code="5" path="/"}`, `after the condition on code comes "," or "}"`},
		{`a{code="5"} + 1`, `"+ 1" cannot stand after the conditions`},
		{`a{code=~"("}`, "the expression of the label code cannot be read"},
		{`a{code=~")|("}`, "the expression of the label code cannot be read"},
		{`a{code=~"(x{1000}){1000}"}`, "the expression of the label code cannot be read"},
		{"a{" + strings.Repeat(`x="",`, maxMatchers+1) + "}", "at most 32 conditions"},
	} {
		if s, err := ParseSelector(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, error %v, want %q", c.text, s, err, c.want)
		}
	}
}

// FuzzSelector: what can be read can be written and read again, and then means the same.
func FuzzSelector(f *testing.F) {
	f.Add(`http_requests_total{code=~'5..',path!="\n"}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			return
		}
		again, err := ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q is written %q, which is read as %q, %v", text, s, again, err)
		}
		s.Matches(s.name, []Label{{"code", "500"}})
	})
}
