package unit

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/salveops/salve/agent/internal/order"
)

const infinity = order.Infinity

type value = order.Value

// setting is one systemd property that set_property can change: how its value is written in the
// configuration, and in which file the kernel shows what came of it. How D-Bus carries it stands in order.
type setting struct {
	name       string // as in unit files
	controller string
	parse      func(text string) (value, error)
	v2, v1     []string // kernel files, the first that exists counts; nil: the controller lacks it
	// agrees reports whether the kernel's text says what was wanted.
	agrees func(kernel string, want value, v1 bool) bool
}

func settings() []setting {
	size := func(name, v2, v1 string) setting {
		s := setting{name: name, controller: "memory", parse: parseSize,
			v2: []string{v2}, agrees: sameSize}
		if v1 != "" {
			s.v1 = []string{v1}
		}
		return s
	}
	return []setting{
		{name: "CPUQuota", controller: "cpu", parse: parseQuota,
			v2: []string{"cpu.max"}, v1: []string{"cpu.cfs_quota_us"}, agrees: sameQuota},
		{name: "CPUWeight", controller: "cpu", parse: parseWeight,
			v2: []string{"cpu.weight"}, v1: []string{"cpu.shares"}, agrees: sameCPUWeight},
		{name: "AllowedCPUs", controller: "cpuset", parse: parseCPUs,
			v2: []string{"cpuset.cpus"}, agrees: sameCPUs},
		size("MemoryMax", "memory.max", "memory.limit_in_bytes"),
		size("MemoryHigh", "memory.high", ""),
		size("MemorySwapMax", "memory.swap.max", ""),
		size("MemoryLow", "memory.low", ""),
		size("MemoryMin", "memory.min", ""),
		{name: "TasksMax", controller: "pids", parse: parseTasks,
			v2: []string{"pids.max"}, v1: []string{"pids.max"}, agrees: sameNumber},
		{name: "IOWeight", controller: "io", parse: parseWeight,
			v2: []string{"io.weight", "io.bfq.weight"}, v1: []string{"blkio.weight", "blkio.bfq.weight"},
			agrees: sameIOWeight},
	}
}

func lookupSetting(name string) (setting, error) {
	for _, s := range settings() {
		if s.name == name {
			return s, nil
		}
	}
	return setting{}, fmt.Errorf("set_property does not know %s", name)
}

var errValue = errors.New("no value that systemd would take")

// parseQuota reads "20%" of one CPU; "" is no quota. systemd counts in microseconds a second.
func parseQuota(text string) (value, error) {
	if text == "" {
		return value{N: infinity}, nil
	}
	share, err := parseShare(text)
	if err != nil || share <= 0 {
		return value{}, errValue
	}
	return value{N: uint64(math.Round(share * 1e6))}, nil
}

// parseShare reads "12.5%" as 0.125.
func parseShare(text string) (float64, error) {
	digits, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || n < 0 || math.IsNaN(n) || n > 1e8 {
		return 0, errValue
	}
	return n / 100, nil
}

func parseWeight(text string) (value, error) {
	if text == "idle" {
		return value{N: 0}, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < 1 || n > 10000 {
		return value{}, errValue
	}
	return value{N: n}, nil
}

// parseSize reads "512M", "20%" of the host's memory, or "infinity".
func parseSize(text string) (value, error) {
	if text == "infinity" {
		return value{N: infinity}, nil
	}
	if strings.HasSuffix(text, "%") {
		share, err := parseShare(text)
		if err != nil || share > 1 {
			return value{}, errValue
		}
		total, err := hostMemory()
		return value{N: uint64(share * float64(total))}, err
	}
	shift := 0
	if i := strings.IndexByte("KMGT", upper(text)); i >= 0 {
		shift, text = 10*(i+1), text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return value{}, errValue
	}
	return value{N: n << shift}, nil
}

// upper is the last letter of text in upper case, 0 of none.
func upper(text string) byte {
	if text == "" {
		return 0
	}
	return strings.ToUpper(text[len(text)-1:])[0]
}

// parseTasks reads a number, "infinity", or a share of what the kernel allows at all.
func parseTasks(text string) (value, error) {
	if strings.HasSuffix(text, "%") {
		share, err := parseShare(text)
		if err != nil || share > 1 {
			return value{}, errValue
		}
		total, err := hostTasks()
		return value{N: uint64(share * float64(total))}, err
	}
	if text == "infinity" {
		return value{N: infinity}, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return value{}, errValue
	}
	return value{N: n}, nil
}

const maxCPU = order.MaxCPU

// parseCPUs reads "0-2,5" into a bit mask; "" is every CPU.
func parseCPUs(text string) (value, error) {
	v := value{Mask: []byte{}}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		low, high, isRange := strings.Cut(word, "-")
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(cmp.Or(high, low))
		if err1 != nil || err2 != nil || from < 0 || from > to || to >= maxCPU || isRange && high == "" {
			return value{}, errValue
		}
		for i := from; i <= to; i++ {
			for len(v.Mask) <= i/8 {
				v.Mask = append(v.Mask, 0)
			}
			v.Mask[i/8] |= 1 << (i % 8)
		}
	}
	return v, nil
}

func hostMemory() (uint64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseUint(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no MemTotal in /proc/meminfo")
}

func hostTasks() (uint64, error) {
	least := uint64(math.MaxUint64)
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return 0, err
		}
		least = min(least, n)
	}
	return least, nil
}

// number reads a kernel's number; "max", and what version 1 writes for no limit, are infinity.
func number(text string) (uint64, bool) {
	text = strings.TrimSpace(text)
	if text == "max" || text == "-1" {
		return infinity, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if n >= 1<<63-1<<20 {
		n = infinity
	}
	return n, err == nil
}

func sameNumber(kernel string, want value, _ bool) bool {
	n, ok := number(kernel)
	return ok && n == want.N
}

// sameSize: the kernel rounds down to whole pages.
func sameSize(kernel string, want value, _ bool) bool {
	n, ok := number(kernel)
	page := uint64(os.Getpagesize())
	return ok && (n == want.N || want.N != infinity && n == want.N/page*page)
}

// sameQuota compares time a period, which the kernel rounds: "20000 100000".
func sameQuota(kernel string, want value, _ bool) bool {
	f := strings.Fields(kernel)
	if len(f) != 2 {
		return false
	}
	quota, ok1 := number(f[0])
	period, ok2 := number(f[1])
	if !ok1 || !ok2 || period == 0 || quota == infinity || want.N == infinity {
		return ok1 && quota == want.N
	}
	share := float64(want.N) / 1e6
	return math.Abs(float64(quota)/float64(period)-share) <= 0.02*share
}

// sameCPUWeight: version 1 counts 1024 for a weight of 100.
func sameCPUWeight(kernel string, want value, v1 bool) bool {
	n, ok := number(kernel)
	if v1 {
		return ok && n == clamp(want.N*1024/100, 2, 262144)
	}
	return ok && n == max(want.N, 1) // an idle group shows the least weight or none
}

// sameIOWeight: "default 100" in version 2; version 1 counts 500 for 100.
func sameIOWeight(kernel string, want value, v1 bool) bool {
	first, _, _ := strings.Cut(kernel, "\n")
	n, ok := number(strings.TrimPrefix(first, "default "))
	if v1 {
		return ok && n == clamp(want.N*5, 10, 1000)
	}
	return ok && n == want.N
}

func clamp(n, low, high uint64) uint64 { return min(max(n, low), high) }

func sameCPUs(kernel string, want value, _ bool) bool {
	got, err := parseCPUs(strings.TrimSpace(kernel))
	return err == nil && slices.Equal(got.Mask, want.Mask)
}
