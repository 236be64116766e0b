package packaging_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestContents: every file, with its owner and mode, and what dpkg is told.
func TestContents(t *testing.T) {
	for _, name := range names {
		var b strings.Builder
		for _, field := range []string{"Depends", "Recommends", "Suggests"} {
			fmt.Fprintf(&b, "%s: %s", field, orLine(output(t, "dpkg-deb", "-f", deb(t, name), field)))
		}
		for line := range strings.Lines(output(t, "dpkg-deb", "-c", deb(t, name))) {
			f := strings.Fields(line)
			fmt.Fprintln(&b, f[0], f[1], strings.TrimPrefix(f[len(f)-1], "."))
		}
		golden(t, name+".deb.txt", b.String())
	}
}

func orLine(s string) string { return strings.TrimRight(s, "\n") + "\n" }

// TestConfigurationIsYours: the package manager keeps a configuration that was changed.
func TestConfigurationIsYours(t *testing.T) {
	for name, want := range map[string]string{
		"salve-agent": "/etc/salve/agent.hcl\n", "salve-controller": "/etc/salve/controller.hcl\n", "salve": "",
	} {
		if want != "" {
			if got := output(t, "dpkg-deb", "-I", deb(t, name), "conffiles"); got != want {
				t.Errorf("conffiles of %s: %q", name, got)
			}
		}
		if got := output(t, "rpm", "-qp", "--configfiles", rpm(t, name)); got != want {
			t.Errorf("configuration of %s.rpm: %q", name, got)
		}
	}
}

// TestRPM: the same files, each where its distributions look for it, and sums that hold.
func TestRPM(t *testing.T) {
	for _, name := range names {
		out := output(t, "rpm", "-K", rpm(t, name))
		if !strings.Contains(out, "OK") || strings.Contains(out, "NOT OK") {
			t.Errorf("rpm -K: %s", out)
		}
		const format = "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]"
		files := output(t, "rpm", "-qp", "--qf", format, rpm(t, name))
		golden(t, name+".rpm.txt", files+"\n"+output(t, "rpm", "-qp", "--requires", "--recommends", rpm(t, name)))
	}
}

// TestLint: no error, and no warning that packaging/lintian does not explain.
func TestLint(t *testing.T) {
	needs(t, "lintian", "lintian")
	command := []string{"lintian", "--allow-root", "--fail-on", "error,warning"}
	for _, name := range names {
		command = append(command, deb(t, name))
	}
	if out := output(t, command...); strings.TrimSpace(out) != "" {
		t.Error(out)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("lintian", name))
		if err != nil {
			t.Fatal(err)
		}
		explained := false
		for line := range strings.Lines(string(text)) {
			comment := strings.HasPrefix(line, "# ")
			if !comment && !explained {
				t.Errorf("lintian/%s: no reason for %s", name, line)
			}
			explained = comment
		}
	}
}

// TestReproducible: the same commit, another folder, the same bytes.
func TestReproducible(t *testing.T) {
	first, second := packages(t), filepath.Join(t.TempDir(), "again")
	if err := pack(t, second, "--packages", "salve-agent"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(second)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 {
		t.Errorf("made %v, want a .deb, a .rpm, a .spdx.json and SHA256SUMS", entries)
	}
	for _, e := range entries {
		if e.Name() == "SHA256SUMS" {
			continue // the second run made one package only
		}
		if !bytes.Equal(read(t, filepath.Join(first, e.Name())), read(t, filepath.Join(second, e.Name()))) {
			t.Errorf("%s differs", e.Name())
		}
	}
}

// TestSums: SHA256SUMS has every file, and the right sum of it.
func TestSums(t *testing.T) {
	dir := packages(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, e := range entries {
		if e.Name() != "SHA256SUMS" {
			fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(read(t, filepath.Join(dir, e.Name()))), e.Name())
		}
	}
	if got := string(read(t, filepath.Join(dir, "SHA256SUMS"))); got != want.String() || len(entries) != 10 {
		t.Errorf("%d files, SHA256SUMS says\n%s, want\n%s", len(entries), got, want.String())
	}
}

// TestBill: the SPDX document names the programs by their sums, and the modules that are linked into them.
func TestBill(t *testing.T) {
	top := root(t)
	for name, modules := range map[string][]string{
		"salve-agent":      {"salve-agent", "salve-agent-helper", "stdlib", "go.etcd.io/bbolt", "github.com/hashicorp/hcl/v2"},
		"salve-controller": {"salve-controller", "stdlib", "github.com/hashicorp/raft"},
		"salve":            {"salve", "stdlib", "github.com/spf13/cobra"},
	} {
		var doc struct {
			Version  string `json:"spdxVersion"`
			Packages []struct {
				ID        string          `json:"SPDXID"`
				Name      string          `json:"name"`
				Version   string          `json:"versionInfo"`
				Checksums json.RawMessage `json:"checksums"`
			} `json:"packages"`
			Relationships []json.RawMessage `json:"relationships"`
		}
		text := read(t, filepath.Join(packages(t), name+"_1.2.0_amd64.spdx.json"))
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Version != "SPDX-2.3" || len(doc.Packages) > len(doc.Relationships) {
			t.Errorf("%s: %s, %d packages, %d relationships", name, doc.Version, len(doc.Packages), len(doc.Relationships))
		}
		var have, ids []string
		for _, p := range doc.Packages {
			have, ids = append(have, p.Name), append(ids, p.ID)
			if p.Checksums == nil {
				continue
			}
			sum := fmt.Sprintf("%x", sha256.Sum256(read(t, filepath.Join(top, "usr/bin", p.Name))))
			if !strings.Contains(string(p.Checksums), sum) {
				t.Errorf("%s: the sum of %s is not in the document", name, p.Name)
			}
		}
		for _, p := range doc.Packages {
			if p.Version == "" {
				t.Errorf("%s: %s has no version", name, p.Name)
			}
		}
		for _, m := range modules {
			if !slices.Contains(have, m) {
				t.Errorf("%s: %s is not in the document", name, m)
			}
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != len(doc.Packages) {
			t.Errorf("%s: an identifier stands for two", name)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
