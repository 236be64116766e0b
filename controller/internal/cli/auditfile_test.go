package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/proto/logpb"
)

// exported is an audit of six records as salve audit export writes it, with what JSON can write in several ways.
func exported(t testing.TB) []string {
	s := state.New()
	for i, text := range []string{"plain", `"quoted" \ <b>&`, "line\nline\x00", "ö…\u2028日本", "", "%s"} {
		e := &logpb.Entry{Format: state.Format, At: 1_795_768_275_484_123_457 + int64(i), Commands: []*logpb.Command{{
			From: &logpb.Origin{Address: "2001:db8::7", Credential: "serial/5d2e41aa"},
			What: &logpb.Command_Note{Note: &logpb.Note{By: "kim", What: "peer", Text: "x" + text}},
		}}}
		if results, err := s.Apply(uint64(i+1), e); err != nil || results[0].GetRefusal() != nil {
			t.Fatal(results, err)
		}
	}
	var b bytes.Buffer
	for _, r := range s.Audit(0, 100) {
		if err := writeAuditLine(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Collect(strings.Lines(b.String()))
}

// outsider verifies lines by what docs/audit.md says, and by nothing of Salve's.
func outsider(lines []string) bool {
	previous := ""
	for _, line := range lines {
		var r struct {
			N, At, Index                                  uint64
			By, Address, Credential, What, Incident, Text string
			Previous, Hash                                string
		}
		if json.Unmarshal([]byte(line), &r) != nil {
			return false
		}
		b, _ := hex.DecodeString(r.Previous)
		b = binary.BigEndian.AppendUint64(b, r.N)
		b = binary.BigEndian.AppendUint64(b, r.At)
		b = binary.BigEndian.AppendUint64(b, r.Index)
		for _, text := range []string{r.By, r.Address, r.Credential, r.What, r.Incident, r.Text} {
			b = append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
		}
		if fmt.Sprintf("%x", sha256.Sum256(b)) != r.Hash || r.Previous != previous {
			return false
		}
		previous = r.Hash
	}
	return true
}

func verifyLines(v *verifier, lines []string) error {
	if err := readAuditFile("x", strings.NewReader(strings.Join(lines, "")), v.take); err != nil {
		return err
	}
	return v.end()
}

// An outsider's verdict is that of salve audit verify: of a whole export, and of every export with one byte changed.
func TestExportIsVerifiedByOutsiders(t *testing.T) {
	t.Parallel()
	lines := exported(t)
	if err := verifyLines(&verifier{}, lines); err != nil || !outsider(lines) {
		t.Fatalf("a whole export: %v, %t", err, outsider(lines))
	}
	for n, line := range lines {
		for at := range line {
			b := []byte(line)
			b[at] ^= 1
			forged := slices.Clone(lines)
			forged[n] = string(b)
			if err := verifyLines(&verifier{}, forged); err == nil {
				t.Errorf("line %d with another byte %d passes: %s", n+1, at, b)
			}
		}
	}
}

// The program in docs/audit.md does what the page says.
func TestExportIsVerifiedByThePage(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	require.That(t, "python3", err == nil, "Debian package python3, for the program in docs/audit.md")
	page, err := os.ReadFile("../../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(page)
	if program == nil {
		t.Fatal("there is no program in the page")
	}
	lines := exported(t)
	run := func(lines []string) (string, error) {
		name := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "-c", string(program[1]), name).CombinedOutput()
		return string(out), err
	}
	whole := &verifier{}
	if err := verifyLines(whole, lines); err != nil {
		t.Fatal(err)
	}
	if out, err := run(lines); err != nil || !strings.Contains(out, whole.result().Head) {
		t.Errorf("a whole export: %s, %v; want head %s", out, err, whole.result().Head)
	}
	lines[3] = strings.Replace(lines[3], "kim", "ann", 1)
	if out, err := run(lines); err == nil {
		t.Errorf("a forged export: %s", out)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	lines := exported(t)
	headAt := func(n int) string {
		v := &verifier{}
		if err := verifyLines(v, lines[:n]); err != nil {
			t.Fatal(err)
		}
		return v.result().Head
	}
	with := func(n int, old, new string) []string {
		out := slices.Clone(lines)
		if out[n] = strings.Replace(out[n], old, new, 1); out[n] == lines[n] {
			t.Fatalf("there is no %s", old)
		}
		return out
	}
	rewritten := head{4, make([]byte, 32)}.String()
	for name, tc := range map[string]struct {
		lines []string
		head  string
		want  string // in the error; "": none
	}{
		"whole":                       {lines, "", ""},
		"whole, with its head":        {lines, headAt(6), ""},
		"whole, with an earlier head": {lines, headAt(2), ""},
		"begins after the head":       {lines[3:], headAt(3), ""},
		"begins long after the head":  {lines[3:], headAt(2), "not among records 4 to 6"},
		"its end cut off":             {lines[:4], headAt(6), "ends at record 4, and record 6 is known"},
		"nothing left":                {nil, headAt(6), "ends at record 0"},
		"written anew":                {lines, rewritten, "x:4: record 4 is another one"},
		"written anew before it":      {lines[4:], rewritten, "x:1: record 4 is another one"},
		"cut within a line":           {with(5, "\n", ""), "", "x:6: "},
		"cut within the last line":    {append(slices.Clone(lines[:5]), lines[5][:40]), "", "x:6: "},
		"a name twice":                {with(2, `"by":"kim"`, `"by":"ann","by":"kim"`), "", "x:3: record 3 is not written as"},
		"a name more":                 {with(2, `"by":"kim"`, `"by":"kim","seen":true`), "", "x:3: record 3 is not written as"},
		"a name in capitals":          {with(2, `"by"`, `"BY"`), "", "x:3: record 3 is not written as"},
		"spaces":                      {with(2, `"by":`, `"by": `), "", "x:3: record 3 is not written as"},
		"an empty line":               {slices.Insert(slices.Clone(lines), 2, "\n"), "", "x:3: this is no record"},
		"a line without end":          {[]string{strings.Repeat("x", maxAuditLine+1)}, "", "x:1: this is no record"},
	} {
		v := &verifier{}
		if err := v.want.parse(tc.head); err != nil {
			t.Fatal(err)
		}
		err := verifyLines(v, tc.lines)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err != nil && exitCode(err) != exitFindings && !strings.HasPrefix(tc.want, "not among") {
			t.Errorf("%s: exit code %d", name, exitCode(err))
		}
	}
	for _, text := range []string{"4", ":", "4:", "4:xy", "0:ab", "-1:ab", ":ab", "x:ab", "4:ab:cd"} {
		if err := new(head).parse(text); exitCode(err) != exitUsage {
			t.Errorf("--head %q: %v", text, err)
		}
	}
}

// FuzzAuditLine: what is no record is refused, and what is one can be written again as it was.
func FuzzAuditLine(f *testing.F) {
	for _, line := range exported(f) {
		f.Add([]byte(strings.TrimSuffix(line, "\n")))
	}
	f.Add([]byte(`{"n":1,"previous":"zz"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := readAuditLine(line)
		if err != nil {
			return
		}
		if _, err := protojson.Marshal(r); err != nil {
			t.Fatalf("%q is read and is no text: %v", line, err)
		}
		v := &verifier{want: head{n: r.GetN()}}
		_ = v.take(r)
		_ = v.end()
	})
}
