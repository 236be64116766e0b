package config

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad feeds anything to the loader: it must end soon, without a panic, with errors or with an
// agent, and what it says must be showable.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob(shipped + "/*/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(seeds, shipped+"/agent.hcl") {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		path := filepath.Join(dir, "agent.hcl")
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
		a, diags := LoadAgent(path, LoadOptions{Host: "h", Offline: true})
		if (a == nil) != diags.HasErrors() {
			t.Fatalf("agent %v with %v", a, diags)
		}
		if err := Render(io.Discard, diags, true); err != nil {
			t.Fatal(err)
		}
		once, diags := Format(src)
		if diags.HasErrors() {
			return
		}
		if twice, _ := Format(once); !bytes.Equal(once, twice) {
			t.Fatalf("formatting again changes\n%s\nto\n%s", once, twice)
		}
	})
}
