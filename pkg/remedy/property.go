package remedy

import (
	"regexp"
	"strings"
)

// property is a systemd resource property that set_property may change. All of them are cgroup
// settings, which systemd changes on a running unit and whose effect the kernel shows in a file.
// What systemd cannot change while a unit runs (Nice, CPUAffinity, …) is not here.
type property struct {
	name   string
	value  *regexp.Regexp
	form   string // of the value, for people
	limits bool   // may take capacity away from the unit; a weight only shifts it
}

var (
	percentage = regexp.MustCompile(`^([1-9][0-9]{0,5}(\.[0-9]{1,2})?%)?$`)
	weight     = regexp.MustCompile(`^([1-9][0-9]{0,3}|10000|idle)$`)
	ioWeight   = regexp.MustCompile(`^([1-9][0-9]{0,3}|10000)$`)
	size       = regexp.MustCompile(`^([0-9]{1,12}[KMGT]?|100%|[0-9]{1,2}(\.[0-9]{1,2})?%|infinity)$`)
	tasks      = regexp.MustCompile(`^([0-9]{1,10}|100%|[0-9]{1,2}(\.[0-9]{1,2})?%|infinity)$`)
	cpuList    = regexp.MustCompile(`^([0-9]{1,4}(-[0-9]{1,4})?([ ,]+[0-9]{1,4}(-[0-9]{1,4})?)*)?$`)
)

const (
	sizeForm   = "a size (\"512M\"), a share of memory (\"20%\") or \"infinity\""
	weightForm = "a number from 1 to 10000"
)

func properties() []property {
	return []property{
		{"CPUQuota", percentage, "a share of one CPU (\"20%\"), or \"\" for none", true},
		{"CPUWeight", weight, weightForm + ", or \"idle\"", false},
		{"AllowedCPUs", cpuList, "a list of CPUs (\"0-2,5\"), or \"\" for all", true},
		{"MemoryMax", size, sizeForm, true},
		{"MemoryHigh", size, sizeForm, true},
		{"MemorySwapMax", size, sizeForm, true},
		{"MemoryLow", size, sizeForm, false},
		{"MemoryMin", size, sizeForm, false},
		{"TasksMax", tasks, "a number, a share (\"20%\") or \"infinity\"", true},
		{"IOWeight", ioWeight, weightForm, false},
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
	}
	return ""
}
