package exposition

import (
	"bytes"
	"testing"
	"unicode/utf8"
)

// FuzzPage: whatever comes, reading ends without a panic, with samples whose name is one and whose labels
// can be written and read again.
func FuzzPage(f *testing.F) {
	f.Add([]byte("# TYPE a counter\na_total{x=\"1\\n\",y=\"}\"} 3 1.5 # {t=\"a\"} 1\n# EOF\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := New(nil)
		for _, format := range []Format{Text, OpenMetrics} {
			for p.Reset(bytes.NewReader(b), format); p.Next(); {
				s := p.Sample()
				if len(s.Name) == 0 || name(s.Name, true) != len(s.Name) || !bytes.HasPrefix(s.Series, s.Name) {
					t.Errorf("%q is the name of %q", s.Name, s.Series)
				}
				if e, ok := ReadExemplar(s.Exemplar); ok && (e.Value-e.Value != 0 || format == Text) {
					t.Errorf("%q has the exemplar %+v", s.Exemplar, e)
				}
				labels, err := Labels(s.Series)
				seen := map[string]bool{}
				for _, l := range labels {
					if err != nil || seen[l.Name] || !utf8.ValidString(l.Value) {
						t.Errorf("%q has the label %q = %q, and error %v", s.Series, l.Name, l.Value, err)
					}
					seen[l.Name] = true
				}
			}
			_ = p.Err()
		}
	})
}
