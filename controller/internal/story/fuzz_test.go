package story

import (
	"bytes"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzPrintable: nothing that a host tells steers the terminal of who reads it, in whatever pieces it comes.
func FuzzPrintable(f *testing.F) {
	f.Add([]byte("\x1b[2J\x1b]0;x\x07"), []byte("plain\ttext\n"))
	f.Add([]byte("\xc2"), []byte("\x9b31m"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var out bytes.Buffer
		w := Printable(&out)
		for _, piece := range [][]byte{one, two} {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		for rest := out.Bytes(); len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Errorf("%q and %q become %q", one, two, out.Bytes())
			}
			rest = rest[size:]
		}
	})
}
