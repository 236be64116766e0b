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
		{Verb: SetProperty, Unit: "a.service", Runtime: true, For: time.Minute, Properties: map[string]Value{"TasksMax": {N: 9}}},
	} {
		if _, err := Do(t.Context(), nil, o); err == nil || !strings.Contains(err.Error(), "only the helper") {
			t.Errorf("%s: %v", o.Verb, err)
		}
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
