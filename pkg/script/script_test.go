package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/signal"
)

func info(t testing.TB, name string) signal.Info {
	t.Helper()
	p, err := signal.ParsePath(name)
	if err != nil {
		t.Fatal(err)
	}
	in, ok := signal.Lookup(p)
	if !ok {
		t.Fatalf("no signal %s", name)
	}
	return in
}

// course writes the first n values out.
func course(s Script, n int) string {
	var out []string
	for i := range n {
		switch v := s.At(i); {
		case v.Kind == Unknown:
			out = append(out, "?")
		case v.Kind == Idle:
			out = append(out, "-")
		case v.Kind == Silent:
			out = append(out, "_")
		case v.Word != "":
			out = append(out, v.Word)
		default:
			out = append(out, fmt.Sprintf("%.4g", v.V))
		}
	}
	return strings.Join(out, " ")
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ signal, text, want string }{
		{"host.load.per_cpu", "5", "5 5 5 5 5"},
		{"host.load.per_cpu", "5x2 1 2", "5 5 1 2 2"},
		{"host.load.per_cpu", "0+10x3 7", "0 10 20 7 7"},
		{"host.load.per_cpu", "0+10x3", "0 10 20 20 20"},
		{"host.load.per_cpu", "3-1x4", "3 2 1 0 0"},
		{"host.load.per_cpu", "-3 x2 -1.5", "-3 -3 -1.5 -1.5 -1.5"},
		{"host.load.per_cpu", "1 _x2\n unknown x1 2", "1 _ _ ? 2"},
		{"metric.errors", "1 idlex2 unknown", "1 - - ? ?"},
		{"host.cpu.busy", "85% 0.5 70%+10%x3", "0.85 0.5 0.7 0.8 0.9"},
		{"host.cpu.busy", "70%+10x3", "0.7 0.8 0.9 0.9 0.9"},
		{"host.clock.offset", "-500ms 2s 1m", "-0.5 2 60 60 60"},
		{"host.memory.available_bytes", "1KiB 1GiB", "1024 1.074e+09 1.074e+09 1.074e+09 1.074e+09"},
		{"unit.failed", "false x2 true", "0 0 1 1 1"},
		{"unit.state", "active x2 failedx1 inactive", "active active failed inactive inactive"},
	} {
		s, err := Parse(c.text, info(t, c.signal))
		if err != nil {
			t.Errorf("%s: %q: %v", c.signal, c.text, err)
		} else if got := course(s, 5); got != c.want {
			t.Errorf("%s: %q is %s, want %s", c.signal, c.text, got, c.want)
		}
	}
	if got := course(Script{}, 2); got != "_ _" {
		t.Errorf("the zero value says %s", got)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		signal, text, wrong, want string
	}{
		{"unit.cpu", "", "", "no values"},
		{"unit.cpu", "1 x0", "x0", "1 to"},
		{"unit.cpu", "x3", "x3", "nothing stands before it"},
		{"unit.cpu", "1 2ms 3", "2ms", `"ms" does not fit: unit.cpu is measured in ratio`},
		{"unit.cpu", "1 yes", "yes", `is a number (ratio), not "yes"`},
		{"unit.cpu", "1 1+x3", "1+x3", "is no value"},
		{"unit.cpu", "1 1x99999999", "1x99999999", "1 to 1048576 values"},
		{"unit.cpu", "1 idle", "idle", `is a number (ratio), not "idle"`},
		{"unit.failed", "true flase", "flase", "is true or false"},
		{"unit.failed", "1", "1", "is true or false"},
		{"unit.state", "active faild", "faild", "is one of active"},
		{"unit.cpu", strings.Repeat("1 ", MaxItems+1), "1", "at most 1000 items"},
	} {
		_, err := Parse(c.text, info(t, c.signal))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := c.text[e.Offset : e.Offset+e.Length]; got != c.wrong || !strings.Contains(e.Text, c.want) {
			t.Errorf("%q: %q: %s; want %q: %s", c.text, got, e.Text, c.wrong, c.want)
		}
	}
}

// FuzzParse feeds anything: it ends with a script whose values can be read, or with an error within the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"0+10x100 _x3", "85%-1%x20 unknown", "true x3 false", "active x9 failed", "x", "1e9", "--1", "1x99999999",
	} {
		f.Add(s)
	}
	infos := []signal.Info{
		info(f, "unit.cpu"), info(f, "unit.failed"), info(f, "unit.state"), info(f, "host.clock.offset"),
		info(f, "metric.errors"),
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, in := range infos {
			s, err := Parse(text, in)
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Offset+e.Length > len(text)) {
				t.Fatalf("%q: %+v", text, err)
			}
			if err == nil && (s.Len() < 1 || s.Len() > MaxValues) {
				t.Fatalf("%q has %d values", text, s.Len())
			}
			s.At(0)
			s.At(s.Len())
			s.At(1 << 30)
		}
	})
}
