package procfile

import "bytes"

// Line cuts the first line off b.
func Line(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// Field cuts the first word off b. Words are separated by blanks, tabs and line ends.
func Field(b []byte) (field, rest []byte) {
	i := 0
	for i < len(b) && blank(b[i]) {
		i++
	}
	j := i
	for j < len(b) && !blank(b[j]) {
		j++
	}
	return b[i:j], b[j:]
}

// Skip drops the first n words of b.
func Skip(b []byte, n int) []byte {
	for range n {
		_, b = Field(b)
	}
	return b
}

// Uint cuts a decimal number off b. It is false when the first word is not one that fits 64 bits.
func Uint(b []byte) (v uint64, rest []byte, ok bool) {
	word, rest := Field(b)
	v, ok = ParseUint(word)
	return v, rest, ok
}

// ParseUint reads a decimal number of at most 64 bits.
func ParseUint(word []byte) (uint64, bool) {
	if len(word) == 0 || len(word) > 20 {
		return 0, false
	}
	var v uint64
	for _, c := range word {
		d := uint64(c - '0')
		if d > 9 || v > (1<<64-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}

// Fixed cuts a number with a fractional part, such as 12.34, off b.
func Fixed(b []byte) (v float64, rest []byte, ok bool) {
	word, rest := Field(b)
	whole, frac, _ := bytes.Cut(word, point)
	n, ok := ParseUint(whole)
	if !ok {
		return 0, rest, false
	}
	v = float64(n)
	if len(frac) == 0 {
		return v, rest, true
	}
	m, ok := ParseUint(frac)
	scale := 1.0
	for range frac {
		scale *= 10
	}
	return v + float64(m)/scale, rest, ok
}

var point = []byte(".")

// Value looks for a line that starts with key, and reads the number after it. A colon or equals
// sign may stand between them. It serves "key value" files: meminfo, vmstat, cpu.stat, memory.events.
func Value(b []byte, key string) (uint64, bool) {
	for len(b) > 0 {
		var line []byte
		line, b = Line(b)
		if len(line) <= len(key) || string(line[:len(key)]) != key {
			continue
		}
		rest := line[len(key):]
		if rest[0] == ':' || rest[0] == '=' {
			rest = rest[1:]
		} else if !blank(rest[0]) {
			continue
		}
		v, _, ok := Uint(rest)
		return v, ok
	}
	return 0, false
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
