package order

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/agent/internal/systemd"
)

// Infinity is systemd's word for no limit, and for a weight that nobody set.
const Infinity = math.MaxUint64

// MaxCPU bounds the length of a mask.
const MaxCPU = 8192

// Value is what a property holds: a number, or a bit mask of CPUs.
type Value struct {
	N    uint64 `json:"n,omitempty"`
	Mask []byte `json:"mask,omitempty"` // properties of type "ay"
}

// Equal reports whether both say the same.
func (v Value) Equal(w Value) bool { return v.N == w.N && slices.Equal(v.Mask, w.Mask) }

// Property is one resource property of systemd that may be changed.
type Property struct {
	Name string // as in unit files
	DBus string
	Mask bool // a bit mask, not a number

	least, most uint64 // bounds of the number; Infinity is always one
	text        func(v Value) string
}

func properties() []Property {
	sizes := func(name string) Property { return Property{name, name, false, 0, Infinity, orInfinity} }
	return []Property{
		{"CPUQuota", "CPUQuotaPerSecUSec", false, 1, 1e12, share},
		{"CPUWeight", "CPUWeight", false, 0, 10000, weight},
		{"AllowedCPUs", "AllowedCPUs", true, 0, 0, cpus},
		sizes("MemoryMax"),
		sizes("MemoryHigh"),
		sizes("MemorySwapMax"),
		sizes("MemoryLow"),
		sizes("MemoryMin"),
		{"TasksMax", "TasksMax", false, 1, Infinity, orInfinity},
		{"IOWeight", "IOWeight", false, 1, 10000, weight},
	}
}

// Lookup finds a property by its name in unit files.
func Lookup(name string) (Property, bool) {
	for _, p := range properties() {
		if p.Name == name {
			return p, true
		}
	}
	return Property{}, false
}

// holds reports whether the property can have that value.
func (p Property) holds(v Value) bool {
	if p.Mask {
		return v.N == 0 && len(v.Mask) <= MaxCPU/8
	}
	return len(v.Mask) == 0 && (v.N == Infinity || v.N >= p.least && v.N <= p.most)
}

func (p Property) variant(v Value) dbus.Variant {
	if p.Mask {
		return dbus.MakeVariant(append([]byte{}, v.Mask...))
	}
	return dbus.MakeVariant(v.N)
}

func sorted(values map[string]Value) []string { return slices.Sorted(maps.Keys(values)) }

// onBus are checked values as D-Bus carries them.
func onBus(values map[string]Value) []sd.Property {
	out := make([]sd.Property, 0, len(values))
	for _, name := range sorted(values) {
		p, _ := Lookup(name)
		out = append(out, sd.Property{Name: p.DBus, Value: p.variant(values[name])})
	}
	return out
}

// Assignments are the values as systemctl set-property reads them, sorted: "CPUQuota=20.00%".
func Assignments(values map[string]Value) ([]string, error) {
	var out []string
	for _, name := range sorted(values) {
		p, known := Lookup(name)
		if !known || !p.holds(values[name]) {
			return nil, fmt.Errorf("%s has a value that cannot be put back", name)
		}
		out = append(out, name+"="+p.text(values[name]))
	}
	return out, nil
}

// Read asks systemd for the named properties of a unit. Of the values in names nothing is used.
func Read(ctx context.Context, c *systemd.Calls, unit string, names map[string]Value) (map[string]Value, error) {
	values := make(map[string]Value, len(names))
	for _, name := range sorted(names) {
		property, known := Lookup(name)
		if !known {
			return nil, fmt.Errorf("set_property does not know %s", name)
		}
		p, err := c.GetUnitTypePropertyContext(ctx, unit, unitType(unit), property.DBus)
		if err != nil {
			return nil, fmt.Errorf("read %s of %s: %w", name, unit, err)
		}
		switch v := p.Value.Value().(type) {
		case uint64:
			values[name] = Value{N: v}
		case []byte:
			values[name] = Value{Mask: v}
		default:
			return nil, fmt.Errorf("read %s of %s: systemd gives a %T", name, unit, v)
		}
	}
	return values, nil
}

// unitType is the D-Bus interface of the unit's type: "Service" for x.service.
func unitType(unit string) string {
	suffix := strings.TrimPrefix(filepath.Ext(unit), ".")
	if suffix == "" {
		return ""
	}
	return strings.ToUpper(suffix[:1]) + suffix[1:]
}

func orInfinity(v Value) string {
	if v.N == Infinity {
		return "infinity"
	}
	return strconv.FormatUint(v.N, 10)
}

// weight: nothing written means that nobody set it.
func weight(v Value) string {
	switch v.N {
	case Infinity:
		return ""
	case 0:
		return "idle"
	}
	return strconv.FormatUint(v.N, 10)
}

// share of one CPU; systemd counts in microseconds a second, and reads hundredths of a percent.
func share(v Value) string {
	if v.N == Infinity {
		return ""
	}
	return strconv.FormatFloat(float64(v.N)/1e4, 'f', 2, 64) + "%"
}

// cpus lists the CPUs of a mask, "0-2,5"; "" is every one.
func cpus(v Value) string {
	var words []string
	has := func(i int) bool { return i/8 < len(v.Mask) && v.Mask[i/8]&(1<<(i%8)) != 0 }
	for i := 0; i < 8*len(v.Mask); i++ {
		if !has(i) {
			continue
		}
		first := i
		for has(i + 1) {
			i++
		}
		word := strconv.Itoa(first)
		if i > first {
			word += "-" + strconv.Itoa(i)
		}
		words = append(words, word)
	}
	return strings.Join(words, ",")
}
