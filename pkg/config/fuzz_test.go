package config

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// FuzzLoad feeds anything to the loader: it must end soon, without a panic, with errors or with an
// agent, and what it says must be showable.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob(shipped + "/*/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(seeds, shipped+"/"+agentFile) {
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
		a, diags := LoadAgent(path, LoadOptions{Host: "h", Offline: true, Tests: true})
		if (a == nil) != diags.HasErrors() {
			t.Fatalf("agent %v with %v", a, diags)
		}
		if err := Render(io.Discard, diags, true); err != nil {
			t.Fatal(err)
		}
		formatTwice(t, src)
	})
}

func formatTwice(t *testing.T, src []byte) {
	once, diags := Format(src)
	if diags.HasErrors() {
		return
	}
	if twice, _ := Format(once); !bytes.Equal(once, twice) {
		t.Fatalf("formatting again changes\n%s\nto\n%s", once, twice)
	}
}

// FuzzLoadController is FuzzLoad for controller.hcl. What was loaded must go into the log as it is: within bounds, and
// the same again after a round through its bytes.
func FuzzLoadController(f *testing.F) {
	src, err := os.ReadFile(shipped + "/" + controllerFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add([]byte(uncomment(string(src))))
	cases, err := filepath.Glob("testdata/load/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(src).Files {
			if file.Name == controllerFile {
				text, _, _ := bytes.Cut(file.Data, []byte(divider))
				f.Add(text)
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		path := filepath.Join(dir, controllerFile)
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
		c, diags := LoadController(path, LoadOptions{Host: "h", Offline: true})
		if (c == nil) != diags.HasErrors() {
			t.Fatalf("controller %v with %v", c, diags)
		}
		if err := Render(io.Discard, diags, true); err != nil {
			t.Fatal(err)
		}
		formatTwice(t, src)
		if c == nil {
			return
		}
		log := c.Replicated()
		bytes, err := proto.Marshal(log)
		if err != nil {
			t.Fatal(err)
		}
		back := &logpb.Config{}
		if err := proto.Unmarshal(bytes, back); err != nil || !proto.Equal(log, back) {
			t.Fatalf("%v became %v: %v", log, back, err)
		}
		checkReplicated(t, log)
	})
}
