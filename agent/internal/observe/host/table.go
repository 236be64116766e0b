package host

import (
	"slices"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// entry describes a part: what it is called, which signals it gives, how it is read.
type entry struct {
	name    string
	nth     int      // sampled at every nth tick
	signals []string // in the order in which the reader gets their handles
	family  string   // of a reader with instances: it has no fixed signals
	reader  func(Options, []*source.Handle) reader
}

// table is all parts. The order is that of the samples in a batch.
var table = []entry{
	{name: "cpu", nth: 1, reader: newCPU, signals: []string{
		"host.cpu.busy", "host.cpu.iowait", "host.cpu.steal", "host.load.per_cpu"}},
	{name: "memory", nth: 1, reader: newMemory, signals: []string{
		"host.memory.available_ratio", "host.memory.available_bytes", "host.memory.swap_ratio"}},
	{name: "oom", nth: 1, reader: newOOM, signals: []string{"host.memory.oom_kills"}},
	{name: "psi.cpu", nth: 1, reader: newPressure("cpu"), signals: []string{"host.psi.cpu.some"}},
	{name: "psi.memory", nth: 1, reader: newPressure("memory"), signals: []string{
		"host.psi.memory.some", "host.psi.memory.full"}},
	{name: "psi.io", nth: 1, reader: newPressure("io"), signals: []string{
		"host.psi.io.some", "host.psi.io.full"}},
	{name: "io", nth: 1, reader: newBlockDevices, family: "host.io"},
	{name: "net", nth: 1, reader: newInterfaces, family: "host.net"},
	{name: "tcp.snmp", nth: 1, reader: newTCP("snmp", "Tcp:", "RetransSegs"), signals: []string{
		"host.tcp.retransmits"}},
	{name: "tcp.netstat", nth: 1, reader: newTCP("netstat", "TcpExt:", "ListenOverflows", "TCPAbortOnMemory"),
		signals: []string{"host.tcp.listen_overflows", "host.tcp.memory_aborts"}},
	{name: "tcp.memory", nth: 5, reader: newTCPLimit("mem", "tcp_mem", 2), signals: []string{"host.tcp.memory_ratio"}},
	{name: "tcp.orphans", nth: 5, reader: newTCPLimit("orphan", "tcp_max_orphans", 0), signals: []string{
		"host.tcp.orphans_ratio"}},
	{name: "conntrack", nth: 5, reader: newConntrack, signals: []string{"host.conntrack.used_ratio"}},
	{name: "fds", nth: 5, reader: newOpenFiles, signals: []string{"host.fds.used_ratio"}},
	{name: "pids", nth: 5, reader: newPIDs, signals: []string{"host.pids.used_ratio"}},
	{name: "clock", nth: 10, reader: newOffset, signals: []string{
		"host.clock.offset", "host.clock.synchronised"}},
}

func (e entry) needed(needed func(string) bool) bool {
	if e.family != "" {
		return needed(e.family)
	}
	return slices.ContainsFunc(e.signals, needed)
}

func (e entry) make(o Options) *part {
	p := &part{nth: e.nth}
	p.meter.Name = "host." + e.name
	for _, signal := range e.signals {
		p.handles = append(p.handles, o.Book.Handle(signal, ""))
	}
	p.reader = e.reader(o, p.handles)
	return p
}
