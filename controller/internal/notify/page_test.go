package notify

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzPage: whatever is in the file of pages, an alarm begins, and what it writes it can read.
func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"page":{"name":"a","told":["slack.ops"]},"used":{"b":true},"last":{"generation":"g","term":7}}`))
	f.Add([]byte(`{"page":null,"used":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPage(dir, "x")
		if err != nil || p.path != path {
			t.Fatal(p.path, err)
		}
		p.Used["c"] = true
		if err := p.led(ledTerm{"h", 8}); err != nil {
			t.Fatal(err)
		}
		again, err := openPage(dir, "x")
		if err != nil || !again.Used["c"] || again.Last != (ledTerm{"h", 8}) || (again.Page == nil) != (p.Page == nil) {
			t.Errorf("%q: wrote %+v, and read %+v, %v", text, p, again, err)
		}
	})
}
