package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/packages"
	"github.com/salveops/salve/pkg/remedy"
)

// TestPackages: what is installed is read again once something was installed, and only then counts as there.
func TestPackages(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, at time.Time) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	hour := time.Now().Add(-time.Hour)
	install := func(shop, common, state string) {
		t.Helper()
		hour = hour.Add(time.Second)
		put("status", "Package: shop\nStatus: install ok "+state+"\nArchitecture: amd64\nVersion: "+shop+"\n\n"+
			"Package: shop-common\nStatus: install ok installed\nVersion: "+common+"\n", hour)
		put("info/shop:amd64.list", "", hour)
	}
	put("info/shop-common.list", "", hour.Add(-time.Hour))
	mark := filepath.Join(dir, "mark")
	p := &installed{a: &remedy.PackagesArgs{Packages: []string{"shop", "shop-common"}, Marker: mark}, manager: packages.Dpkg(dir)}
	looks := func(want string, marked bool) {
		t.Helper()
		s, err := p.Look()
		text := s.ID
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, want) || s.Marked != marked || err == nil && (s.Age < 59*time.Minute || s.Age > time.Hour) {
			t.Errorf("it is %+v, %v; want %q", s, err, want)
		}
	}
	looks("no such file", false)
	install("1.0", "1.0", "installed")
	looks("shop=1.0 shop-common=1.0", false)
	install("2.0", "1.0", "half-configured")
	looks("shop is half-configured", false)
	looks("shop is half-configured", false) // also when it was read before
	install("2.0", "1.0", "installed")
	looks("shop=2.0 shop-common=1.0", false)
	put("mark", "", hour)
	looks("shop=2.0 shop-common=1.0", true)

	s, _ := p.Look()
	if got, ok := PackagesOf(s.Version); !ok || len(got) != 2 || got["shop"] != "2.0" || got["shop-common"] != "1.0" {
		t.Errorf("it is read as %v", got)
	}
	for _, id := range []string{"", "shop", "shop=", "--shop=1", "shop=1.0-", "/etc current"} {
		if got, ok := PackagesOf(Version{ID: id}); ok {
			t.Errorf("%q is read as %v", id, got)
		}
	}
}

// torn is dpkg whose records cannot be read while there is an error.
type torn struct {
	packages.Dpkg
	err   error
	reads int
}

func (d *torn) Installed(names []string) ([]packages.Package, error) {
	d.reads++
	if d.err != nil {
		return nil, d.err
	}
	return d.Dpkg.Installed(names)
}

// TestUnread: what cannot be read is read again after a while, and not each second.
func TestUnread(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"status": "Package: shop\nStatus: install ok installed\nVersion: 1\n\n", "shop.list": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".", filepath.Join(dir, "info")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := &torn{Dpkg: packages.Dpkg(dir), err: packages.ErrUnread}
		p := &installed{a: &remedy.PackagesArgs{Packages: []string{"shop"}}, manager: d}
		for i, after := range []time.Duration{0, time.Second, again} {
			time.Sleep(after)
			if _, err := p.Look(); (err == nil) != (after == again) || d.reads != 1+i/2 {
				t.Errorf("after %v: %v; it was read %d times", after, err, d.reads)
			}
			d.err = nil
		}
	})
}
