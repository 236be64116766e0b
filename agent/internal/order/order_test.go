package order

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/remedy"
)

// TestVerbsArePolkits: what the allow blocks can give to a unit is what can be ordered, and nothing else is.
func TestVerbsArePolkits(t *testing.T) {
	var given, known []string
	for _, s := range remedy.Specs() {
		given = append(given, s.Verbs...)
	}
	for name, v := range verbs() {
		if name == Install {
			continue // of packages, which polkit knows nothing of
		}
		if v.permit != name && (name != Lift || v.permit != SetProperty) {
			t.Errorf("%s is permitted by %s", name, v.permit)
		}
		known = append(known, v.permit)
	}
	given = append(given, remedy.VerbReloadManager) // of rollback_files, which acts on paths
	slices.Sort(given)
	slices.Sort(known)
	if diff := cmp.Diff(slices.Compact(given), slices.Compact(known)); diff != "" {
		t.Errorf("remedies need other verbs than there are:\n%s", diff)
	}
}

func TestPropertiesAreTheConfigurations(t *testing.T) {
	var names []string
	for _, p := range properties() {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff(remedy.Properties(), names); diff != "" {
		t.Error(diff)
	}
}

func TestCheck(t *testing.T) {
	limit := func(change func(o *Order)) Order {
		o := Order{Verb: SetProperty, Unit: "a.service", Runtime: true, For: time.Minute,
			Properties: map[string]Value{"TasksMax": {N: 9}}}
		change(&o)
		return o
	}
	for _, c := range []struct {
		order Order
		want  string // part of the error, "" for none
	}{
		{limit(func(*Order) {}), ""},
		{limit(func(o *Order) { o.Runtime = false }), "has to end with a reboot"},
		{limit(func(o *Order) { o.For = time.Millisecond }), "ends after"},
		{limit(func(o *Order) { o.For = 25 * time.Hour }), "ends after"},
		{limit(func(o *Order) { o.Properties = nil }), "names no property"},
		{limit(func(o *Order) { o.Properties["Nice"] = Value{} }), "does not know"},
		{limit(func(o *Order) { o.Properties["TasksMax"] = Value{} }), "cannot have"},
		{limit(func(o *Order) { o.Properties["CPUWeight"] = Value{N: Infinity} }), ""}, // nobody set it
		{limit(func(o *Order) { o.Whom = "all" }), "no signal"},
		{limit(func(o *Order) { o.Verb = Lift }), "nothing but a unit"},
		{Order{Verb: Kill, Unit: "a.service", Signal: "SIGTERM", Whom: "main"}, ""},
		{Order{Verb: Kill, Unit: "a.service", Signal: "SIGTERM"}, "no signal"},
		{Order{Verb: Kill, Unit: "a.service", Signal: "9", Whom: "main"}, "no signal"},
		{Order{Verb: Kill, Unit: "a.service", Signal: "SIGTERM", Whom: "main", Runtime: true}, "no more"},
		{Order{Verb: Stop, Unit: "a.service", For: time.Minute}, "nothing but a unit"},
		{Order{Verb: Stop, Unit: "worker@.service"}, "is a template"},
		{Order{Verb: Stop}, "no name"},
		{Order{Verb: Stop, Unit: "a.service", Hold: true}, "no packages"},
		{Order{Verb: Stop, Unit: "a.service", Packages: []Package{{"a1", "1", ""}}}, "no packages"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1:1.0~rc1+b2-1", ""}, {"g++", "4:12.2.0-3", ""}}, Hold: true}, ""},
		{Order{Verb: Install, Manager: Apt, Hold: true}, "names no package"},
		{Order{Verb: Stop, Unit: "a.service", Manager: Apt}, "no packages"},
		{Order{Verb: Install, Packages: []Package{{"shop", "1", ""}}}, "no manager"},
		{Order{Verb: Install, Manager: "dnf", Packages: []Package{{"shop", "1", "noarch"}}}, "no manager"},
		{Order{Verb: Install, Manager: Dnf, Packages: []Package{{"PyYAML_x", "2:1.0^git1-1.el9_3", "x86_64"}}}, ""},
		{Order{Verb: Install, Manager: Dnf, Packages: []Package{{"shop", "1", ""}}}, "no architecture"},
		{Order{Verb: Install, Manager: Dnf, Packages: []Package{{"shop", "1,glue", "noarch"}}}, "no version"},
		{Order{Verb: Install, Manager: Dnf, Packages: []Package{{"shop", "common-0:1.0-1", "noarch"}}}, "no version"}, // of shop-common
		{Order{Verb: Install, Manager: Dnf, Packages: []Package{{"shop", "1", "no*"}}}, "no architecture"},
		{Order{Verb: Install, Manager: Apt, Unit: "a.service", Packages: []Package{{"shop", "1", ""}}}, "nothing but packages"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1", ""}}, Runtime: true}, "nothing but packages"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1", ""}, {"shop", "2", ""}}}, "twice"},
		{Order{Verb: Install, Manager: Apt, Packages: make([]Package, 17)}, "at most"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"", "1", ""}}}, "no name of a package"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"-o", "1", ""}}}, "no name of a package"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"./shop", "1", ""}}}, "no name of a package"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop:i386", "1", ""}}}, "no name of a package"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop.*", "1", ""}}}, "no name of a package"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "", ""}}}, "no version"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1-", ""}}}, "no version"}, // to apt-get that is a removal
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1+", ""}}}, "no version"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1 2", ""}}}, "no version"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1:1", "amd64"}}}, ""},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1", "../../tmp/x"}}}, "no architecture"},
		{Order{Verb: Install, Manager: Apt, Packages: []Package{{"salve-agent", "1", ""}}}, "Salve's own"},
		{Order{Unit: "a.service"}, "there is no verb"},
	} {
		err := c.order.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.order, err, c.want)
		}
	}
}

// TestHelpersOrders: what only the helper can do is never half done without it.
func TestHelpersOrders(t *testing.T) {
	for _, o := range []Order{
		{Verb: Lift, Unit: "a.service"},
		{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1", ""}}},
		{Verb: SetProperty, Unit: "a.service", Runtime: true, For: time.Minute, Properties: map[string]Value{"TasksMax": {N: 9}}},
	} {
		if _, err := Do(t.Context(), nil, o); err == nil || !strings.Contains(err.Error(), "only the helper") {
			t.Errorf("%s: %v", o.Verb, err)
		}
	}
}

// TestApt: what apt-get is told is the same for a look and for the deed, and no name or version can be an option.
func TestApt(t *testing.T) {
	o := Order{Verb: Install, Manager: Apt, Packages: []Package{{"shop", "1.0", ""}, {"shop-common", "1.0", ""}}, Hold: true}
	argv := o.Apt()
	if tail := argv[len(argv)-4:]; !slices.Equal(tail, []string{"install", "--", "shop=1.0", "shop-common=1.0"}) {
		t.Errorf("it ends with %q", tail)
	}
	o.Packages[0] = Package{"shop", "1:1.0", "amd64"}
	if kept := o.Apt(); kept[len(kept)-2] != "/var/cache/apt/archives/shop_1%3a1.0_amd64.deb" || o.Commands()[1][5] != "shop" {
		t.Errorf("a version that is kept is %q", kept)
	}
	for _, must := range []string{"--no-remove", "--only-upgrade", "--allow-downgrades"} {
		if !slices.Contains(argv, must) {
			t.Errorf("%s is not among %q", must, argv)
		}
	}
	const held = "--allow-change-held-packages"
	if slices.Contains(argv, held) {
		t.Error("what a person holds is changed")
	}
	if o.Hold = false; !slices.Contains(o.Apt(), held) {
		t.Error("what was held by a rollback cannot be taken back")
	}
}

// TestDnf: dnf is shown just the versions, with their epoch and architecture, and holds them as it writes that itself.
func TestDnf(t *testing.T) {
	o := Order{Verb: Install, Manager: Dnf, Packages: []Package{{"shop", "1.0-1", "noarch"}, {"shop-common", "2:1.0-1", "x86_64"}}, Hold: true}
	const shop, common = "shop-0:1.0-1.noarch", "shop-common-2:1.0-1.x86_64"
	install, lock := o.Commands()[0], o.Commands()[1]
	if tail := install[len(install)-3:]; install[0] != "dnf-3" || !slices.Equal(tail, []string{"install", shop, common}) {
		t.Errorf("it is %q", install)
	}
	for _, must := range []string{"--setopt=disable_excludes=", "--setopt=*.includepkgs=," + shop + "," + common, "--setopt=*.gpgkey="} {
		if !slices.Contains(install, must) {
			t.Errorf("%s is not among %q", must, install)
		}
	}
	if tail := lock[len(lock)-4:]; !slices.Equal(tail, []string{"add", "--raw", "shop-0:1.0-1.*", "shop-common-2:1.0-1.*"}) {
		t.Errorf("it holds %q", tail)
	}
	o.Hold = false
	if lock := o.Commands()[1]; !slices.Equal(lock[len(lock)-3:], []string{"delete", "shop", "shop-common"}) {
		t.Errorf("it lifts %q", lock)
	}
	if install = o.Commands()[0]; !slices.Contains(install, "--disableplugin=versionlock") {
		t.Error("what was held by a rollback cannot be taken back")
	}
}

func TestAssignments(t *testing.T) {
	got, err := Assignments(map[string]Value{
		"CPUQuota": {N: 125_000}, "CPUWeight": {N: 0}, "AllowedCPUs": {Mask: []byte{0x27, 0x82, 0x01}}, "MemoryMax": {N: Infinity},
		"TasksMax": {N: 70}, "IOWeight": {N: Infinity}, "MemoryLow": {},
	})
	want := []string{"AllowedCPUs=0-2,5,9,15-16", "CPUQuota=12.50%", "CPUWeight=idle", "IOWeight=", "MemoryLow=0",
		"MemoryMax=infinity", "TasksMax=70"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if none, err := Assignments(map[string]Value{"CPUQuota": {N: Infinity}, "AllowedCPUs": {}}); err != nil ||
		!slices.Equal(none, []string{"AllowedCPUs=", "CPUQuota="}) {
		t.Errorf("without limits: %q, %v", none, err)
	}
	for _, v := range []map[string]Value{{"Nice": {}}, {"TasksMax": {}}, {"AllowedCPUs": {N: 1}}} {
		if got, err := Assignments(v); err == nil {
			t.Errorf("%v can be put back as %q", v, got)
		}
	}
}
