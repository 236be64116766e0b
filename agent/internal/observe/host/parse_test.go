package host

import "testing"

// The parsers read whatever the kernel, or a container's idea of it, gives.
func FuzzParsers(f *testing.F) {
	for _, s := range []string{
		"cpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8\nintr 1\n",
		"MemTotal: 10 kB\nMemAvailable: 5 kB\nSwapTotal: 1 kB\nSwapFree: 1 kB\n",
		"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n",
		"  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
		"Tcp: RetransSegs X\nTcp: 17 1\n",
		"0.00 0.01 0.05 1/95 11881\n",
		"1600 0 16000\n",
		"TCP: inuse 1 orphan 8 tw 662 alloc 59 mem 102\n",
		`24 22 8:2 / /var/lib/my\\040data rw shared:1 - xfs /dev/sda2 ro,errors=remount-ro`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseStat(b); ok && s.cpus == 0 {
			t.Error("a host without a CPU")
		}
		if m, ok := parseMemInfo(b); ok && (m.total == 0 || m.swapFree > m.swapTotal) {
			t.Errorf("memory %+v", m)
		}
		if name, _, ok := parseDiskStat(b); ok && len(name) == 0 {
			t.Error("a disk without a name")
		}
		if name, _, ok := parseNetDev(b); ok && len(name) == 0 {
			t.Error("an interface without a name")
		}
		parseColumn(b, "Tcp:", "RetransSegs")
		parseTasks(b)
		parseSockets(b, "mem")
		readOnly(b, "/var/lib/my data")
		if v, ok := parseFileNr(b); ok && (v < 0 || v > 1) {
			t.Errorf("share of files %v", v)
		}
	})
}
