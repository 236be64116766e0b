package helper

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/order"
)

// requests are one of each kind that there is.
func requests() []order.Order {
	return []order.Order{
		{Verb: order.Start, Unit: "a.service"},
		{Verb: order.Stop, Unit: `srv-a\x2db.mount`},
		{Verb: order.Restart, Unit: "worker@7.service"},
		{Verb: order.Reload, Unit: "a.service"},
		{Verb: order.ResetFailed, Unit: "a.service"},
		{Verb: order.Lift, Unit: "a.service"},
		{Verb: order.Kill, Unit: "a.service", Signal: "SIGTERM", Whom: "all"},
		{Verb: order.SetProperty, Unit: "a.service", Runtime: true, For: time.Minute, Properties: map[string]order.Value{
			"CPUQuota": {N: 200_000}, "MemoryMax": {N: order.Infinity}, "AllowedCPUs": {Mask: []byte{5, 1}}}},
		{Verb: order.SetProperty, Unit: "a.service", Properties: map[string]order.Value{"CPUWeight": {N: 0}}},
		{Verb: order.Install, Manager: order.Apt, Packages: []order.Package{{Name: "shop", Version: "1:1.0~rc1+b1-2"}}, Hold: true},
		{Verb: order.Install, Manager: order.Apt, Packages: []order.Package{{Name: "shop", Version: "1:1", Arch: "amd64"}, {Name: "g++", Version: "2"}}},
	}
}

func TestParse(t *testing.T) {
	for _, o := range requests() {
		line, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(line[:len(line)-1])
		if diff := cmp.Diff(o, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", line, err, diff)
		}
	}
}

// FuzzParse: whatever comes, what is taken makes sense, has one reading, and fits in.
func FuzzParse(f *testing.F) {
	for _, o := range requests() {
		line, err := encode(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line[:len(line)-1])
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		o, err := Parse(line)
		if err != nil {
			return
		}
		again, err := encode(o)
		if err != nil || !bytes.Equal(again[:len(again)-1], line) || len(line) > maxRequest {
			t.Fatalf("%q is taken, and is %q, %v", line, again, err)
		}
		if o.Check() != nil || o.Permit() == "" || strings.ContainsAny(o.Unit+fmt.Sprint(o.Packages), "/\x00\n$") {
			t.Fatalf("%q is taken as %+v", line, o)
		}
		if back, err := order.Assignments(o.Properties); err != nil || slices.ContainsFunc(back, func(s string) bool {
			return strings.ContainsAny(s, " \n\x00/$")
		}) {
			t.Fatalf("%q gives %q, %v", line, back, err)
		}
	})
}

func TestList(t *testing.T) {
	l := List{Never: []string{"salve-*", "-.slice"},
		May:      []Entry{{"a*.service", []string{"start", "stop"}}, {`x\x2d.mount`, []string{"start"}}},
		Packages: []string{"shop*", "g++"}}
	got, err := ParseList(l.Text())
	if diff := cmp.Diff(l, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, c := range []struct {
		unit, verb string
		want       bool
	}{
		{"a1.service", "stop", true}, {"a1.service", "kill", false}, {"b.service", "start", false},
		{`x\x2d.mount`, "start", true},
		{"salve-a.service", "start", false}, {"", "start", false}, {"a1.service", "", false},
	} {
		if got := l.Permits(c.unit, c.verb); got != c.want {
			t.Errorf("%s of %q: %v, want %v", c.verb, c.unit, got, c.want)
		}
	}
	for name, want := range map[string]bool{"shop": true, "shop-data": true, "g++": true, "sho": false, "a1.service": false, "": false} {
		if got := l.PermitsPackage(name); got != want {
			t.Errorf("package %q: %v, want %v", name, got, want)
		}
	}
	l.May = append(l.May, Entry{"*", []string{"start"}})
	if l.Permits("salve-agent.service", "start") || !l.Permits("b.service", "start") {
		t.Error("what is never touched is touched")
	}
	if empty, err := ParseList(List{}.Text()); err != nil || empty.Permits("a.service", "start") {
		t.Errorf("an empty list: %v", err)
	}
}

// FuzzParseList: only what Text writes is a list.
func FuzzParseList(f *testing.F) {
	f.Add(everyVerb("a.service", "worker@*.service").Text())
	f.Add(title + "\nmay a.service  start\n")
	f.Add(title + "\nnever [\n")
	f.Add(title + "\npackage shop*\n")
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := ParseList(text); err == nil && l.Text() != text {
			t.Errorf("%q is read as %q", text, l.Text())
		}
	})
}
