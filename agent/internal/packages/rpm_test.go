package packages

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const queried = "shop\t1:2.0-1.el9\tx86_64\t1700000000\npackage gone is not installed\nlib\t0:3-1\tx86_64\t7\nlib\t0:3-1\ti686\t7\n" +
	"torn\t0:1-1\tnoarch\t7\ntorn\t0:2-1\tnoarch\t8\nPyYAML\t0:6.0^git1-4\tnoarch\t9\n"

func TestQuery(t *testing.T) {
	got, err := parseQuery(queried, []string{"PyYAML", "shop"})
	want := []Package{{Name: "PyYAML", Version: "6.0^git1-4", Arch: "noarch", State: "installed", since: time.Unix(9, 0)},
		{Name: "shop", Version: "1:2.0-1.el9", Arch: "x86_64", State: "installed", since: time.Unix(1700000000, 0)}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Package{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, want := range map[string]string{"gone": "gone is not installed", "lib": "for 2 architectures", "torn": "twice, as 1-1 and 2-1",
		"none": "rpm says nothing of none"} {
		_, err := parseQuery(queried, []string{name})
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrMissing) != (name == "gone") ||
			errors.Is(err, ErrUnread) != (name == "none") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseQuery("shop\t0:1-1\tnoarch\t(none)\n", []string{"shop"}); !errors.Is(err, ErrUnread) {
		t.Errorf("no time of installation: %v", err)
	}
}

// FuzzQuery: whatever rpm says, what comes out is what was asked for.
func FuzzQuery(f *testing.F) {
	f.Add(queried)
	f.Add("shop\t\t\t1\npackage base is not installed")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseQuery(text, []string{"shop", "base"})
		if err == nil && (len(got) != 2 || got[0].Name != "shop" || got[1].Name != "base" || strings.Contains(got[0].Version, "\t")) {
			t.Errorf("%+v", got)
		}
	})
}

func TestAbout(t *testing.T) {
	for line, want := range map[string]bool{
		"shop": true, "shop-0:2.0-1.*": true, "shop-2.0": true, "shop-*": true, "shop.x86_64": true, "!shop": true, "!shop-0:3-*": true,
		"0:shop-2.0-1.noarch": true, "sh*": true, "*": true, "shop*": true, "sho?": true, "s[h]op": true, "shop-[0-9]*": true,
		"shopping": false, "shop-common": false, "shop-common-0:2.0-1.*": false, "shox*": false, "sho": false, "": false, "shop-": false,
	} {
		if got := about(line, "shop"); got != want {
			t.Errorf("%q is about shop: %v", line, got)
		}
	}
}

// TestStamp: it changes with what is written beside the records, too, wherever those are, and when that is as long as before.
func TestStamp(t *testing.T) {
	dir := t.TempDir()
	r := Rpm(dir)
	if s, err := r.Stamp(); err == nil || !strings.Contains(err.Error(), "neither dpkg nor rpm") {
		t.Errorf("without records: %q, %v", s, err)
	}
	seen := map[Stamp]bool{}
	for _, name := range []string{"var/lib/rpm/Packages", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite-wal", "usr/lib/sysimage/rpm/Packages.db"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
		for at := range 2 {
			if err := os.Chtimes(path, time.Time{}, time.Unix(int64(at), 1)); err != nil {
				t.Fatal(err)
			}
			s, err := r.Stamp()
			if err != nil || seen[s] {
				t.Errorf("with %s: %q again, %v", name, s, err)
			}
			seen[s] = true
		}
	}
}
