package remedy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of how long a limit may last that ends by itself.
const (
	ShortestLimit = time.Second
	LongestLimit  = 24 * time.Hour
)

// maxProperties is how many one remedy may set.
const maxProperties = 16

// PropertyArgs are the arguments of set_property.
type PropertyArgs struct {
	UnitArgs
	Properties map[string]string // systemd property → value, as in unit files
	Runtime    bool              // lost at reboot
	For        time.Duration     // taken back after this time; 0 means kept until undone
}

func (a *PropertyArgs) disruptive() bool { return limits(a.Properties) }

func setProperty() Spec {
	return Spec{
		Kind: SetProperty, Target: OnUnit, Disruptive: true, Undoable: true,
		Summary: "change resource limits of a unit while it runs; undo puts the old values back",
		Verbs:   []string{"set-property"},
		Needs:   "\"for\" needs the helper: systemctl enable --now salve-agent-helper.socket.",
		Worst: "a unit that needs more than the limit is slow, or is killed by the kernel. The kernel's own files must show the " +
			"limit, else it is reported as without effect.",
		Back: "The values from before are put back, and drop-ins that came with the limit removed. With \"for\" root's helper " +
			"does it in time, also if the agent is dead.",
		Args: []Arg{
			unitArg(),
			{Name: "properties", Type: Map, Required: true,
				Help: "systemd property and value, as in unit files: { CPUQuota = \"20%\" }"},
			{Name: "runtime", Type: Bool, Default: "true", Help: "true: lost at reboot"},
			{Name: "for", Type: Duration, Min: ShortestLimit, Max: LongestLimit,
				Help: "taken back after this time, also if the agent is dead then, by the helper; default: kept until undone"},
		},
		decode: func(r *reader) Args {
			a := &PropertyArgs{r.unit(), r.properties(), r.boolean("runtime", true), r.duration("for", 0)}
			if a.For > 0 && !a.Runtime {
				r.problem("for", "a limit that ends by itself has to end with a reboot, too: leave out runtime = false")
			}
			return a
		},
	}
}

// properties reads the settings and checks each, in the order of their names.
func (r *reader) properties() map[string]string {
	settings := r.dict("properties")
	if !r.has("properties") {
		return nil
	}
	if len(settings) == 0 || len(settings) > maxProperties {
		r.problem("properties", "from 1 to %d properties, not %d", maxProperties, len(settings))
		return settings
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		wrong := checkProperty(name, settings[name])
		if wrong == "" {
			continue
		}
		p := Problem{Arg: "properties", Text: wrong}
		if _, known := findProperty(name); !known {
			p.Given, p.Known = name, Properties()
		}
		r.problems = append(r.problems, p)
	}
	return settings
}

// property is a systemd resource property that set_property may change. All of them are cgroup
// settings, which systemd changes on a running unit and whose effect the kernel shows in a file.
// What systemd cannot change while a unit runs (Nice, CPUAffinity, …) is not here.
type property struct {
	name   string
	value  *regexp.Regexp
	form   string // of the value, for people
	limits bool   // may take capacity away from the unit; a weight only shifts it
	zero   bool   // may be nothing at all; of the others systemd refuses it, such as no memory
}

var (
	percentage = regexp.MustCompile(`^([1-9][0-9]{0,5}(\.[0-9]{1,2})?%)?$`)
	weight     = regexp.MustCompile(`^([1-9][0-9]{0,3}|10000|idle)$`)
	ioWeight   = regexp.MustCompile(`^([1-9][0-9]{0,3}|10000)$`)
	size       = regexp.MustCompile(`^([0-9]{1,12}[KMGT]?|100%|[0-9]{1,2}(\.[0-9]{1,2})?%|infinity)$`)
	tasks      = regexp.MustCompile(`^([0-9]{1,10}|100%|[0-9]{1,2}(\.[0-9]{1,2})?%|infinity)$`)
	nothing    = regexp.MustCompile(`^0+(\.0+)?[KMGT%]?$`)
	cpuList    = regexp.MustCompile(`^([0-9]{1,4}(-[0-9]{1,4})?([ ,]+[0-9]{1,4}(-[0-9]{1,4})?)*)?$`)
)

const (
	sizeForm   = "a size (\"512M\"), a share of memory (\"20%\") or \"infinity\""
	weightForm = "a number from 1 to 10000"
)

func properties() []property {
	return []property{
		{"CPUQuota", percentage, "a share of one CPU (\"20%\"), or \"\" for none", true, false},
		{"CPUWeight", weight, weightForm + ", or \"idle\"", false, false},
		{"AllowedCPUs", cpuList, "a list of CPUs (\"0-2,5\"), or \"\" for all", true, true},
		{"MemoryMax", size, sizeForm, true, false},
		{"MemoryHigh", size, sizeForm, true, false},
		{"MemorySwapMax", size, sizeForm, true, true},
		{"MemoryLow", size, sizeForm, false, true},
		{"MemoryMin", size, sizeForm, false, true},
		{"TasksMax", tasks, "a number, a share (\"20%\") or \"infinity\"", true, false},
		{"IOWeight", ioWeight, weightForm, false, false},
	}
}

// Properties lists the systemd properties that set_property knows.
func Properties() []string {
	var names []string
	for _, p := range properties() {
		names = append(names, p.name)
	}
	return names
}

func findProperty(name string) (property, bool) {
	for _, p := range properties() {
		if p.name == name {
			return p, true
		}
	}
	return property{}, false
}

// limits reports whether any of the settings may take capacity away. Lifting a limit does not.
func limits(settings map[string]string) bool {
	for name, value := range settings {
		p, known := findProperty(name)
		if !known || p.limits && value != "" && value != "infinity" {
			return true
		}
	}
	return false
}

// checkProperty returns what is wrong with one setting, or "".
func checkProperty(name, value string) string {
	p, ok := findProperty(name)
	switch {
	case !ok:
		return "set_property does not know the property \"" + name + "\"; it knows " +
			strings.Join(Properties(), ", ")
	case !p.value.MatchString(value):
		return name + " takes " + p.form + ", not \"" + value + "\""
	case !p.zero && nothing.MatchString(value):
		return name + " cannot be " + value + ": systemd refuses a unit that may have none"
	}
	return ""
}
