package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/signal"
)

// fixture is a copy of the host in testdata that a test may change.
func fixture(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/root")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unknown stands for a sample without a value.
const unknown = -1

// values are the samples of a batch by signal.
func values(b *source.Batch) map[string]float64 {
	m := map[string]float64{}
	for _, s := range b.Samples {
		m[s.Handle.Key.String()] = unknown
		if s.Known {
			m[s.Handle.Key.String()] = s.Value
		}
	}
	return m
}

func sampleAt(s *Sampler, book *source.Book, now time.Duration) map[string]float64 {
	b := book.Batch()
	defer b.Release()
	s.Sample(now, b)
	return values(b)
}

var approx = cmpopts.EquateApprox(1e-9, 1e-9)

func TestSampleOfTheFixture(t *testing.T) {
	root, book := fixture(t), source.NewBook()
	keys := map[string][]string{}
	s := New(Options{Root: root, Book: book, Keys: func(f string, k []string) { keys[f] = k }})
	defer s.Close()

	first := sampleAt(s, book, time.Second)
	delete(first, "host.clock.offset") // of this machine
	delete(first, "host.clock.synchronised")
	want := map[string]float64{
		"host.cpu.busy": unknown, "host.cpu.iowait": unknown, "host.cpu.steal": unknown, "host.load.per_cpu": 1.5,
		"host.memory.available_ratio": .25, "host.memory.available_bytes": 4000000 * 1024, "host.memory.swap_ratio": .25,
		"host.memory.oom_kills": 2,
		"host.psi.cpu.some":     unknown, "host.psi.memory.some": unknown, "host.psi.memory.full": unknown,
		"host.psi.io.some": unknown, "host.psi.io.full": unknown,
		`host.io["sda"].busy`: unknown, `host.io["sda"].latency`: unknown,
		`host.io["dm-0"].busy`: unknown, `host.io["dm-0"].latency`: unknown,
		`host.net["eth0"].rx_bytes`: 123456, `host.net["eth0"].tx_bytes`: 654321,
		`host.net["eth0"].errors`: 4, `host.net["eth0"].drops`: 6,
		"host.tcp.retransmits": 17, "host.tcp.listen_overflows": 5, "host.tcp.memory_aborts": 4,
		"host.tcp.memory_ratio": .2, "host.tcp.orphans_ratio": .125,
		"host.conntrack.used_ratio": .1, "host.fds.used_ratio": .1, "host.pids.used_ratio": .1,
	}
	if diff := cmp.Diff(want, first, approx); diff != "" {
		t.Errorf("first sample (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"host.io": {"dm-0", "sda"}, "host.net": {"eth0"}}, keys); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}

	write(t, root, "proc/stat", "cpu 1040 100 510 8030 310 20 30 60 0 0\ncpu0 1 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1 1\n")
	write(t, root, "proc/pressure/cpu", "some total=1300000\nfull total=500000\n")
	write(t, root, "proc/pressure/io", "some total=1500000\nfull total=600000\n")
	write(t, root, "proc/diskstats", "8 0 sda 1010 10 80000 2030 510 20 40000 3010 0 1750 5000\n")
	second := sampleAt(s, book, 2*time.Second)
	want = map[string]float64{
		"host.cpu.busy": .5, "host.cpu.iowait": .1, "host.cpu.steal": .1,
		"host.psi.cpu.some": .3, "host.psi.memory.some": 0, "host.psi.io.some": .5, "host.psi.io.full": .1,
		`host.io["sda"].busy`: .25, `host.io["sda"].latency`: .002,
		`host.io["dm-0"].busy`: unknown, `host.io["dm-0"].latency`: unknown,
	}
	for name, v := range want {
		got, ok := second[name]
		if !ok || !cmp.Equal(got, v, approx) {
			t.Errorf("second sample: %s = %v (there: %v), want %v", name, got, ok, v)
		}
	}
	if _, ok := second["host.fds.used_ratio"]; ok {
		t.Error("a signal of every five seconds is in the second sample")
	}
	if diff := cmp.Diff([]string{"sda"}, keys["host.io"]); diff != "" {
		t.Errorf("instances after a device went (-want +got):\n%s", diff)
	}
}

// Unknown is not zero: a file that is gone or makes no sense makes its own signals unknown, no others.
func TestFailingFileIsUnknown(t *testing.T) {
	tests := []struct {
		file, text string
		unknown    []string
		part       string
	}{
		{"proc/stat", "cpu x", []string{"host.cpu.busy", "host.load.per_cpu"}, "host.cpu"},
		{"proc/loadavg", "", []string{"host.load.per_cpu", "host.pids.used_ratio"}, "host.pids"},
		{"proc/meminfo", "MemTotal: 1 kB\n", []string{"host.memory.available_ratio", "host.memory.swap_ratio"},
			"host.memory"},
		{"proc/pressure/memory", "", []string{"host.psi.memory.some", "host.psi.memory.full"}, "host.psi.memory"},
		{"proc/vmstat", "nr_free_pages 1\n", []string{"host.memory.oom_kills"}, ""}, // an old kernel: no failure
		{"proc/net/snmp", "Tcp: RtoMin\nTcp: 1\n", []string{"host.tcp.retransmits"}, "host.tcp.snmp"},
		{"proc/net/netstat", "TcpExt: ListenOverflows\nTcpExt: 1\n",
			[]string{"host.tcp.listen_overflows", "host.tcp.memory_aborts"}, "host.tcp.netstat"},
		{"proc/sys/net/ipv4/tcp_mem", "100 200\n", []string{"host.tcp.memory_ratio"}, "host.tcp.memory"},
		{"proc/net/sockstat", "TCP: inuse 1\nUDP: orphan 5 mem 6\n",
			[]string{"host.tcp.memory_ratio", "host.tcp.orphans_ratio"}, "host.tcp.orphans"},
		{"proc/sys/fs/file-nr", "12 0 0\n", []string{"host.fds.used_ratio"}, "host.fds"},
		{"proc/sys/net/netfilter/nf_conntrack_max", "-\n", []string{"host.conntrack.used_ratio"}, "host.conntrack"},
	}
	for _, tt := range tests {
		t.Run(tt.part, func(t *testing.T) {
			root, book := fixture(t), source.NewBook()
			var failing string
			s := New(Options{Root: root, Book: book, Changed: func(part string, err error) { failing = part }})
			defer s.Close()
			write(t, root, tt.file, tt.text)
			got := sampleAt(s, book, time.Second)
			for _, name := range tt.unknown {
				if v, ok := got[name]; !ok || v != unknown {
					t.Errorf("%s = %v (there: %v), want it unknown", name, v, ok)
				}
			}
			if failing != tt.part {
				t.Errorf("the part that fails is %q, want %q", failing, tt.part)
			}
			if v := got[`host.net["eth0"].rx_bytes`]; v != 123456 {
				t.Errorf("another signal became %v", v)
			}
		})
	}
}

func TestMissingKernelFeatureIsUnknownAndNoFailure(t *testing.T) {
	root, book := fixture(t), source.NewBook()
	if err := os.RemoveAll(filepath.Join(root, "proc/pressure")); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Root: root, Book: book, Changed: func(part string, err error) { t.Errorf("%s: %v", part, err) }})
	defer s.Close()
	if got := sampleAt(s, book, time.Second); got["host.psi.cpu.some"] != unknown {
		t.Errorf("pressure is %v, want it unknown", got["host.psi.cpu.some"])
	}
}

func TestUnneededPartsAreNotRead(t *testing.T) {
	book := source.NewBook()
	s := New(Options{Root: fixture(t), Book: book, Needed: func(name string) bool { return name == "host.cpu.busy" }})
	defer s.Close()
	if n := len(s.Stats()); n != 1 {
		t.Errorf("%d parts are sampled, want one", n)
	}
}

// Every signal of this package is in the catalogue, and every one of the catalogue comes from here.
func TestSignalsAreThoseOfTheCatalogue(t *testing.T) {
	root, book := fixture(t), source.NewBook()
	s := New(Options{Root: root, Book: book})
	defer s.Close()
	got := sampleAt(s, book, time.Second)
	seen := map[string]bool{
		"host.disk[*].used_ratio": true, "host.disk[*].inodes_ratio": true, "host.disk[*].read_only": true, // of Disks
		"host.log[*].rate": true, "host.log[*].count": true, // of package log
	}
	for name := range got {
		p, err := signal.ParsePath(name)
		if err != nil {
			t.Fatal(err)
		}
		info, ok := signal.Lookup(p)
		if !ok {
			t.Errorf("%s is not in the catalogue", name)
		}
		seen[info.Name] = true
	}
	for _, info := range signal.All() {
		change := strings.HasPrefix(info.Name, "host.change.") // is told, not sampled
		if info.Scope == signal.Host && !seen[info.Name] && strings.HasPrefix(info.Name, "host.") && !change {
			t.Errorf("nobody samples %s", info.Name)
		}
	}
}

func TestSampleOfThisHost(t *testing.T) {
	book := source.NewBook()
	s := New(Options{Book: book})
	defer s.Close()
	sampleAt(s, book, 0)
	for name, v := range sampleAt(s, book, time.Second) {
		if v != unknown && v < 0 {
			t.Errorf("%s = %v", name, v)
		}
	}
	for _, st := range s.Stats() {
		if st.Err != "" {
			t.Errorf("%s: %s", st.Name, st.Err)
		}
	}
}

func TestSampleDoesNotAllocate(t *testing.T) {
	book := source.NewBook()
	s := New(Options{Book: book})
	defer s.Close()
	now := time.Duration(0)
	step := func() {
		now += time.Second
		b := book.Batch()
		s.Sample(now, b)
		b.Release()
	}
	for range 11 {
		step()
	}
	if n := testing.AllocsPerRun(30, step); n != 0 {
		t.Errorf("a sample allocates %v times", n)
	}
}
