package unit

import (
	"testing"

	"github.com/salveops/salve/pkg/remedy"
)

func TestSettingsAreWrittenAsInUnitFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       uint64
	}{
		{"CPUQuota", "20%", 200000},
		{"CPUQuota", "250.5%", 2505000},
		{"CPUQuota", "", infinity},
		{"CPUWeight", "1", 1},
		{"CPUWeight", "idle", 0},
		{"MemoryMax", "512M", 512 << 20},
		{"MemoryMax", "1g", 1 << 30},
		{"MemoryMax", "4096", 4096},
		{"MemoryMax", "infinity", infinity},
		{"TasksMax", "100", 100},
		{"TasksMax", "infinity", infinity},
		{"IOWeight", "10000", 10000},
	} {
		set, err := lookupSetting(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := set.parse(c.text); err != nil || v.N != c.want {
			t.Errorf("%s=%s is %d, %v; want %d", c.name, c.text, v.N, err, c.want)
		}
	}
	for name, texts := range map[string][]string{
		"CPUQuota":  {"0%", "20", "-5%", "NaN%", "%", "1e300%"},
		"CPUWeight": {"0", "10001", "", "x"},
		"MemoryMax": {"", "M", "-1", "99999999999999999999", "18446744073709551615T", "200%"},
		"TasksMax":  {"0", "", "x%"},
	} {
		set, _ := lookupSetting(name)
		for _, text := range texts {
			if v, err := set.parse(text); err == nil {
				t.Errorf("%s=%s is taken as %d", name, text, v.N)
			}
		}
	}
	if v, err := parseCPUs("0-2,5 9"); err != nil || string(v.Mask) != "\x27\x02" {
		t.Errorf("CPUs 0-2,5 9 are %x, %v", v.Mask, err)
	}
	for _, p := range remedy.Properties() {
		if _, err := lookupSetting(p); err != nil {
			t.Errorf("the configuration takes %s: %v", p, err)
		}
	}
}

func TestKernelSaysTheSame(t *testing.T) {
	for _, c := range []struct {
		name, kernel string
		want         uint64
		v1, agrees   bool
	}{
		{"CPUQuota", "20000 100000", 200000, false, true},
		{"CPUQuota", "max 100000", infinity, false, true},
		{"CPUQuota", "max 100000", 200000, false, false},
		{"CPUQuota", "-1 100000", infinity, true, true},
		{"CPUQuota", "50000 100000", 200000, true, false},
		{"CPUQuota", "", 200000, true, false},
		{"CPUWeight", "50", 50, false, true},
		{"CPUWeight", "512", 50, true, true},
		{"CPUWeight", "1024", 50, true, false},
		{"MemoryMax", "max", infinity, false, true},
		{"MemoryMax", "9223372036854771712", infinity, true, true},
		{"MemoryMax", "4096", 5000, false, true},
		{"MemoryMax", "max", 5000, false, false},
		{"TasksMax", "17", 17, true, true},
		{"TasksMax", "max", 17, false, false},
		{"IOWeight", "default 100", 100, false, true},
		{"IOWeight", "500", 100, true, true},
	} {
		set, err := lookupSetting(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.agrees(c.kernel, value{N: c.want}, c.v1); got != c.agrees {
			t.Errorf("%s=%d and the kernel's %q (v1 %v) agree: %v, want %v", c.name, c.want, c.kernel, c.v1, got, c.agrees)
		}
	}
	if !sameCPUs("0-2,5", value{Mask: []byte{0x27}}, false) || sameCPUs("0-1", value{Mask: []byte{0x27}}, false) {
		t.Error("lists of CPUs are compared wrongly")
	}
}

func TestReachable(t *testing.T) {
	l := limits{group: "/user/app.slice/a.service", top: "/user"}
	for at, want := range map[string]bool{
		"/user": true, "/user/": true, "/user/app.slice": true, "/user/app.slice/a.service": true,
		"/user/app.slice/a.service/sub": true,
		"/":                             false, "/other": false, "/user/b": false, "/process_api/x": false, "/userx": false,
	} {
		if got := l.reachable(at); got != want {
			t.Errorf("from %s: %v, want %v", at, got, want)
		}
	}
	l.top = ""
	if !l.reachable("/") {
		t.Error("for PID 1 the top is everybody's")
	}
}

// FuzzSettings: values come from configurations and, later, from the controller.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{"20%", "512M", "0-2,5", "infinity", "idle", "max 100000", "-1 100000", "default 100"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range settings() {
			v, err := s.parse(text)
			if err == nil && len(v.Mask) > maxCPU/8 {
				t.Errorf("%s=%q makes a mask of %d bytes", s.name, text, len(v.Mask))
			}
			s.agrees(text, value{N: 1}, false)
			s.agrees(text, value{N: infinity}, true)
		}
	})
}
