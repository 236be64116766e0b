package downgrade

import (
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/order"
)

const said = `NOTE: This is only a simulation!
The following packages will be DOWNGRADED:
  common shop
Inst common [2.0] (1.0 Example:stable, Example:old [all]) []
Inst shop [1:2.0-1+b1] (1:1.0-1 Example:stable [amd64])
Conf common (1.0 Example:stable [all])
Conf shop (1:1.0-1 Example:stable [amd64])
`

// TestBeyond: only just what was asked for may be done, and all of it.
func TestBeyond(t *testing.T) {
	plan := record{To: []order.Package{{Name: "shop", Version: "1:1.0-1"}, {Name: "common", Version: "1.0"}}}
	for text, want := range map[string]string{
		said: "",
		"":   "it would leave ",
		strings.Replace(said, "Inst shop", "Keep shop", 1):           "it would leave shop without 1:1.0-1",
		strings.Replace(said, "(1:1.0-1 ", "(1:1.1-1 ", 1):           "it would install shop 1:1.1-1",
		said + "Inst glue (1.0 Example:stable [all])":                "it would install glue 1.0",
		said + "Inst shop:i386 (1:1.0-1 Example:stable [i386])":      "it would install shop:i386 1:1.0-1",
		said + "Remv till [3.0]":                                     "it would remove till",
		said + "Purg till [3.0]":                                     "it would purge till",
		said + "Conf half (1.0 Example:stable [all])":                "it would configure half 1.0",
		said + "Remv shop [1:2.0-1+b1] (1:1.0-1 Example:stable [x])": "it would remove shop",
	} {
		if got := beyond(steps(text), plan); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s\nis %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"": "it does not say why", "W: old\nE: no room\nE: Sorry\n": "no room Sorry",
	} {
		if got := complaint(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzSteps: whatever apt-get says, no line that would change something is passed over.
func FuzzSteps(f *testing.F) {
	f.Add(said)
	f.Add("Remv till [3.0]\n\nInst (\nInst a (")
	plan := record{To: []order.Package{{Name: "shop", Version: "1:1.0-1"}}}
	f.Fuzz(func(t *testing.T, text string) {
		for _, line := range []string{"\nRemv till [3.0]\n", "\nInst till (3.0 x)\n"} {
			if got := beyond(steps(text+line), plan); got == "" {
				t.Errorf("%q is as planned", text+line)
			}
		}
	})
}
