package packages

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const status = `Package: shop
Status: hold ok installed
Priority: optional
Architecture: amd64
Version: 1:2.0-1
Description: sells
 Version: 3
Conffiles:
 /etc/shop.conf 0123456789abcdef

Package: base
Essential: yes
Status: install ok half-configured
Architecture: all
Version: 4

Package: torn
Status: install reinstreq half-installed
Version: 5
Priority: important

Package: gone
Status: deinstall ok config-files
Version: 6

Package: both
Status: install ok installed
Architecture: amd64
Version: 7

Package: both
Status: install ok installed
Architecture: i386
Version: 7

Package: last
Depends: LONG
Status: install ok installed
Version: 8`

func TestStatus(t *testing.T) {
	text := strings.Replace(status, "LONG", strings.Repeat("x", longLine-len("Depends: "))+"Status: install ok unpacked, y", 1)
	got, err := parseStatus(strings.NewReader(text+"\n\n"), []string{"last", "shop", "base", "torn"})
	want := []Package{{Name: "last", Version: "8", State: "installed"},
		{Name: "shop", Version: "1:2.0-1", Arch: "amd64", Held: true, State: "installed"},
		{Name: "base", Version: "4", Arch: "all", State: "half-configured", Needed: true},
		{Name: "torn", Version: "5", State: "reinstreq", Needed: true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Package{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if whole, err := parseStatus(strings.NewReader(text), []string{"last"}); err != nil || !whole[0].Whole() {
		t.Errorf("the last one, without an end: %+v, %v", whole, err)
	}
	for name, want := range map[string]string{"gone": "is not installed", "none": "is not installed", "both": "for 2 architectures"} {
		_, err := parseStatus(strings.NewReader(text), []string{name})
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrMissing) != (name != "both") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzStatus: whatever the file says, what comes out is what was asked for.
func FuzzStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Package: shop\nStatus: install ok installed\nVersion: 1\n\nPackage: shop\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseStatus(strings.NewReader(string(text)), []string{"shop", "base"})
		if err == nil && (len(got) != 2 || got[0].Name != "shop" || got[1].Name != "base" || got[0].State == "" ||
			slices.ContainsFunc(got, func(p Package) bool { return strings.Contains(p.Version, "\n") })) {
			t.Errorf("%+v", got)
		}
	})
}
