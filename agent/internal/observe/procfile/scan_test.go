package procfile

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestUint(t *testing.T) {
	tests := []struct {
		in   string
		want uint64
		rest string
		ok   bool
	}{
		{"12 34", 12, " 34", true},
		{"  \t7\n8", 7, "\n8", true},
		{"18446744073709551615", math.MaxUint64, "", true},
		{"18446744073709551616", 0, "", false},
		{"99999999999999999999", 0, "", false},
		{"max", 0, "", false},
		{"-1", 0, "", false},
		{"", 0, "", false},
	}
	for _, tt := range tests {
		v, rest, ok := Uint([]byte(tt.in))
		if ok != tt.ok || ok && (v != tt.want || string(rest) != tt.rest) {
			t.Errorf("Uint(%q) = %d, %q, %v; want %d, %q, %v", tt.in, v, rest, ok, tt.want, tt.rest, tt.ok)
		}
	}
}

func TestFixed(t *testing.T) {
	tests := []struct {
		in   string
		want float64
		ok   bool
	}{
		{"0.17 0.20", 0.17, true}, {"12", 12, true}, {"3.005", 3.005, true},
		{"x", 0, false}, {"1.x", 0, false}, {".5", 0, false},
	}
	for _, tt := range tests {
		v, _, ok := Fixed([]byte(tt.in))
		if ok != tt.ok || ok && v != tt.want {
			t.Errorf("Fixed(%q) = %v, %v; want %v, %v", tt.in, v, ok, tt.want, tt.ok)
		}
	}
}

func TestValue(t *testing.T) {
	text := []byte("oom_kill_disable 0\nunder_oom 0\noom_kill 3\nMemTotal:  16 kB\nempty\n")
	tests := []struct {
		key  string
		want uint64
		ok   bool
	}{
		{"oom_kill", 3, true}, {"MemTotal", 16, true}, {"under_oom", 0, true}, {"empty", 0, false}, {"absent", 0, false},
	}
	for _, tt := range tests {
		if v, ok := Value(text, tt.key); v != tt.want || ok != tt.ok {
			t.Errorf("Value(%q) = %d, %v; want %d, %v", tt.key, v, ok, tt.want, tt.ok)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("cpu  1 2 3\nkey: 12 kB\n0.5"))
	f.Fuzz(func(t *testing.T, b []byte) {
		words := strings.FieldsFunc(string(b), func(r rune) bool { return r < 128 && blank(byte(r)) })
		rest := b
		for i, want := range words {
			var got []byte
			if got, rest = Field(rest); string(got) != want {
				t.Fatalf("word %d is %q, want %q", i, got, want)
			}
			v, ok := ParseUint(got)
			ref, err := strconv.ParseUint(want, 10, 64)
			if digits := len(want) <= 20; ok != (err == nil && digits) || ok && v != ref {
				t.Fatalf("ParseUint(%q) = %d, %v", want, v, ok)
			}
			if f, _, ok := Fixed(got); ok && (math.IsNaN(f) || f < 0) {
				t.Fatalf("Fixed(%q) = %v", got, f)
			}
		}
		if word, _ := Field(rest); len(word) != 0 {
			t.Fatalf("a word is left: %q", word)
		}
		Value(b, "key")
	})
}
