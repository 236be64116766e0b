package psi

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Total
		ok       bool
	}{
		{"both", "some avg10=1.00 avg60=0.50 avg300=0.10 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n",
			Total{Some: 12345, Full: 99, HasFull: true}, true},
		{"cpu of older kernels", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n", Total{Some: 7}, true},
		{"empty", "", Total{}, false},
		{"no number", "some total=x\n", Total{}, false},
		{"only full", "full avg10=0.00 total=1\n", Total{Full: 1, HasFull: true}, false},
	}
	for _, tt := range tests {
		if got, ok := Parse([]byte(tt.in)); ok != tt.ok || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n"))
	f.Fuzz(func(t *testing.T, b []byte) { Parse(b) })
}

func TestGauge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := NewGauge(path)
	defer g.Close()
	buf := make([]byte, 1024)
	if s, err := g.Read(0, buf); err == nil {
		t.Fatalf("without a file: %+v", s)
	}
	steps := []struct {
		at   time.Duration
		text string
		want Share
	}{
		{time.Second, "some total=1000000\nfull total=0\n", Share{}},
		{2 * time.Second, "some total=1250000\nfull total=100000\n", Share{Some: .25, Full: .1, HasFull: true, Known: true}},
		{2*time.Second + time.Millisecond, "some total=1250000\n", Share{Early: true}},
		{4 * time.Second, "some total=9250000\nfull total=100000\n", Share{Some: 1, HasFull: true, Known: true}},
		{5 * time.Second, "some total=10\nfull total=0\n", Share{}},
		{6 * time.Second, "some total=10\n", Share{Known: true}},
	}
	for _, s := range steps {
		write(s.text)
		if got, err := g.Read(s.at, buf); err != nil || got != s.want {
			t.Errorf("at %v: %+v, %v; want %+v", s.at, got, err, s.want)
		}
	}
	write("nonsense")
	if _, err := g.Read(7*time.Second, buf); err == nil {
		t.Error("nonsense is taken for pressure")
	}
}

func TestGaugeReadsThisHost(t *testing.T) {
	_, err := os.Stat("/proc/pressure/cpu")
	agenttest.Require(t, "pressure information", err == nil, "a kernel that was booted with psi=1")
	g := NewGauge("/proc/pressure/cpu")
	defer g.Close()
	buf := make([]byte, 1024)
	now := time.Duration(0)
	if n := testing.AllocsPerRun(50, func() {
		now += time.Second
		if _, err := g.Read(now, buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a reading allocates %v times", n)
	}
}
