package jsonpath

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

const document = `{"pool": {"size": 8, "db.main": {"used": 2.5e0}, "": 7, "name": "x", "on": true, "off": null},
	"workers": [{"busy": 1}, {"busy": -3}], "10": 4, "big": 1e400, "twice": 1, "twice": 2}`

func TestNumber(t *testing.T) {
	d, err := Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		want float64
		err  string
	}{
		{"pool.size", 8, ""},
		{`pool."db.main".used`, 2.5, ""},
		{`pool.""`, 7, ""},
		{"workers.1.busy", -3, ""},
		{"10", 4, ""},
		{"twice", 2, ""},
		{"pool", 0, "pool is an object, not a number"},
		{"workers", 0, "workers is a list, not a number"},
		{"pool.name", 0, "pool.name is a text, not a number"},
		{"pool.on", 0, "pool.on is true or false, not a number"},
		{"pool.off", 0, "pool.off is null, not a number"},
		{"pool.none.x", 0, "pool.none.x: there is no pool.none in an object"},
		{"workers.2.busy", 0, "there is no workers.2 in a list"},
		{"workers.-1", 0, "there is no workers.-1 in a list"},
		{"workers.first", 0, "there is no workers.first in a list"},
		{"pool.size.x", 0, "there is no pool.size.x in a number"},
		{"big", 0, "too large"},
	} {
		p, err := Parse(tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		got, err := p.Number(d)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, %v; want %v, %q", tt.path, got, err, tt.want, tt.err)
		}
		if p.String() != tt.path {
			t.Errorf("%s is written as %s", tt.path, p)
		}
	}
}

func TestScalar(t *testing.T) {
	d, err := Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"pool.size": "8", `pool."db.main".used`: "2.5e0", "pool.name": `"x"`, "pool.on": "true", "big": "1e400",
		"pool.off": "pool.off is null, not one value", "workers": "workers is a list, not one value", "pool.none": "there is no pool.none",
	} {
		p, err := Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Scalar(d)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestWrongPaths(t *testing.T) {
	for path, want := range map[string]string{
		"": "a step is", ".a": "a step is", "a.": "a step is", "a..b": "a step is", "a b": "a dot", `a"b"`: "a dot",
		`"a`: "no end", `"a"b`: "a dot", "$.a": "a step is", "a[0]": "a dot", strings.Repeat("a", longest+1): "at most",
		strings.Repeat("a.", deepest) + "a": "more than",
	} {
		if p, err := Parse(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", path, p, err, want)
		}
	}
}

func TestWrongDocuments(t *testing.T) {
	for _, text := range []string{"", "{", "{} {}", "1 x", "NaN", "{'a': 1}", "\xff", strings.Repeat("[", 100_000)} {
		if d, err := Decode([]byte(text)); err == nil {
			t.Errorf("%.20q: %v", text, d)
		}
	}
}

func FuzzNumber(f *testing.F) {
	f.Add("pool.size", document)
	f.Add(`a."b.c".0`, `{"a": {"b.c": [1]}}`)
	f.Add("0", `[1e999]`)
	f.Fuzz(func(t *testing.T, path, text string) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q is written as %q, which is %q, %v", path, p, again, err)
		}
		d, err := Decode([]byte(text))
		if err != nil {
			return
		}
		if v, err := p.Number(d); math.IsNaN(v) || math.IsInf(v, 0) || err != nil && v != 0 {
			t.Errorf("%v, %v", v, err)
		}
		if s, err := p.Scalar(d); err == nil && !json.Valid([]byte(s)) {
			t.Errorf("%q is %s", path, s)
		}
	})
}
