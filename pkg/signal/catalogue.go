package signal

import (
	"slices"
	"time"
)

// family is a group of signals with one source. Those of a keyed family exist once per instance:
// mount point, device, interface, probe, pool.
type family struct {
	name   string
	keyed  bool
	scope  Scope
	every  time.Duration
	source string
	fields []field
}

type field struct {
	name  string
	dim   Dimension
	flags flags
	help  string
}

type flags uint8

const (
	event   flags = 1 << iota // arrives by itself
	counter                   // only grows
)

// states are systemd's ActiveState values, all that unit.state can be.
var states = []string{
	"active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating", "maintenance",
}

// catalogue is every signal of this version, in the order in which listings show it.
var catalogue = slices.Concat(hostFamilies, unitFamilies, serviceFamilies)

var hostFamilies = []family{
	{name: "host.cpu", every: time.Second, source: "/proc/stat", fields: []field{
		{"busy", Ratio, 0, "share of CPU time spent working, over all CPUs"},
		{"iowait", Ratio, 0, "share of CPU time idle while waiting for disks"},
		{"steal", Ratio, 0, "share of CPU time that the hypervisor gave to others"},
	}},
	{name: "host.load", every: time.Second, source: "/proc/loadavg", fields: []field{
		{"per_cpu", Count, 0, "load average of the last minute, divided by the number of CPUs"},
	}},
	{name: "host.memory", every: time.Second, source: "/proc/meminfo, /proc/vmstat", fields: []field{
		{"available_ratio", Ratio, 0, "share of memory that programs can still get without swapping"},
		{"available_bytes", Bytes, 0, "memory that programs can still get without swapping"},
		{"swap_ratio", Ratio, 0, "share of swap space in use; 0 without swap"},
		{"oom_kills", Count, counter, "processes killed for lack of memory since boot"},
	}},
	{name: "host.psi.cpu", every: time.Second, source: "/proc/pressure/cpu", fields: []field{
		{"some", Ratio, 0, "share of time in which some task waited for a CPU"},
	}},
	{name: "host.psi.memory", every: time.Second, source: "/proc/pressure/memory", fields: []field{
		{"some", Ratio, 0, "share of time in which some task waited for memory"},
		{"full", Ratio, 0, "share of time in which all tasks waited for memory"},
	}},
	{name: "host.psi.io", every: time.Second, source: "/proc/pressure/io", fields: []field{
		{"some", Ratio, 0, "share of time in which some task waited for disks"},
		{"full", Ratio, 0, "share of time in which all tasks waited for disks"},
	}},
	{name: "host.disk", keyed: true, every: 10 * time.Second, source: "statfs of each mount, mountinfo", fields: []field{
		{"used_ratio", Ratio, 0, "share of the file system's space in use, as ordinary users see it"},
		{"inodes_ratio", Ratio, 0, "share of the file system's inodes in use"},
		{"read_only", Bool, 0, "the file system takes no writes, as the kernel has it after errors; a read-only mount of one that does is not meant"},
	}},
	{name: "host.io", keyed: true, every: time.Second, source: "/proc/diskstats", fields: []field{
		{"busy", Ratio, 0, "share of time in which the device had work"},
		{"latency", Seconds, 0, "mean time of one request, queueing included"},
	}},
	{name: "host.net", keyed: true, every: time.Second, source: "/proc/net/dev", fields: []field{
		{"rx_bytes", Bytes, counter, "bytes received since the interface came up"},
		{"tx_bytes", Bytes, counter, "bytes sent since the interface came up"},
		{"errors", Count, counter, "errors of both directions since the interface came up"},
		{"drops", Count, counter, "dropped packets of both directions since the interface came up"},
	}},
	{name: "host.tcp", every: time.Second, source: "/proc/net/snmp, /proc/net/netstat", fields: []field{
		{"retransmits", Count, counter, "TCP segments sent again since boot"},
		{"listen_overflows", Count, counter, "connections lost to full listen queues since boot"},
		{"memory_aborts", Count, counter, "connections that the kernel cut off for lack of sockets or their memory since boot"},
	}},
	{name: "host.tcp", every: 5 * time.Second, source: "/proc/net/sockstat, /proc/sys/net/ipv4", fields: []field{
		{"memory_ratio", Ratio, 0, "share of the memory for TCP (tcp_mem) in use"},
		{"orphans_ratio", Ratio, 0, "share of the connections without a process (tcp_max_orphans) in use"},
	}},
	{name: "host.conntrack", every: 5 * time.Second, source: "/proc/sys/net/netfilter", fields: []field{
		{"used_ratio", Ratio, 0, "share of the connection tracking table in use"},
	}},
	{name: "host.fds", every: 5 * time.Second, source: "/proc/sys/fs/file-nr", fields: []field{
		{"used_ratio", Ratio, 0, "share of the host's open file limit in use"},
	}},
	{name: "host.pids", every: 5 * time.Second, source: "/proc/loadavg, /proc/sys/kernel/pid_max", fields: []field{
		{"used_ratio", Ratio, 0, "share of the host's process identifiers in use"},
	}},
	{name: "host.log", keyed: true, every: time.Second, source: "the kernel's lines in the journal", fields: logFields},
	{name: HostChange, source: "recorded changes", fields: changeFields},
	{name: "host.clock", every: 10 * time.Second, source: "adjtimex", fields: []field{
		{"offset", Seconds, 0, "how far the clock is from its time source; unknown while not synchronised"},
		{"synchronised", Bool, 0, "a time source steers the clock"},
	}},
}

var unitFamilies = []family{
	{name: "unit", scope: Unit, source: "systemd over D-Bus", fields: []field{
		{"active", Bool, event, "the unit is active or reloading"},
		{"failed", Bool, event, "the unit is in state failed"},
		{"state", Text, event, "systemd's ActiveState"},
		{"restarts", Count, event | counter, "automatic restarts by systemd since the unit was loaded"},
	}},
	{name: "unit", scope: Unit, every: time.Second, source: "systemd over D-Bus", fields: []field{
		{"uptime", Seconds, 0, "time since the unit became active; 0 while it is not"},
	}},
	{name: "unit", scope: Unit, every: time.Second, source: "the unit's cgroup, or its processes", fields: []field{
		{"cpu", Ratio, 0, "CPU use; 100 * percent is one CPU, 200 * percent two"},
		{"memory_bytes", Bytes, 0, "memory that can't be reclaimed without cost"},
		{"memory_ratio", Ratio, 0, "memory_bytes as share of the unit's limit; of the host's memory without one"},
		{"tasks", Count, 0, "threads of all processes"},
		{"fds", Count, 0, "open files of all processes"},
		{"throttled", Ratio, 0, "share of CPU periods in which the unit's quota held it back"},
	}},
	{name: "unit", scope: Unit, source: "the cgroup's memory events", fields: []field{
		{"oom_kills", Count, event | counter, "processes of the unit killed for lack of memory"},
	}},
	{name: "unit", scope: Unit, source: "the cgroup's pids.events", fields: []field{
		{"refused_tasks", Count, event | counter, "starts of a process or thread that the unit's TasksMax refused"},
	}},
	{name: "unit.psi.cpu", scope: Unit, every: time.Second, source: "the cgroup's cpu.pressure", fields: []field{
		{"some", Ratio, 0, "share of time in which some task of the unit waited for a CPU"},
		{"full", Ratio, 0, "share of time in which all tasks of the unit waited for a CPU"},
	}},
	{name: "unit.psi.memory", scope: Unit, every: time.Second, source: "the cgroup's memory.pressure", fields: []field{
		{"some", Ratio, 0, "share of time in which some task of the unit waited for memory"},
		{"full", Ratio, 0, "share of time in which all tasks of the unit waited for memory"},
	}},
	{name: "unit.psi.io", scope: Unit, every: time.Second, source: "the cgroup's io.pressure", fields: []field{
		{"some", Ratio, 0, "share of time in which some task of the unit waited for disks"},
		{"full", Ratio, 0, "share of time in which all tasks of the unit waited for disks"},
	}},
}

var serviceFamilies = []family{
	{name: "probe", keyed: true, scope: Service, every: time.Second, source: "the service's probes", fields: []field{
		{"ok", Bool, 0, "the probe answers as it should; false after `misses` misses in a row"},
		{"latency", Seconds, 0, "time to the full answer; unknown while there is none"},
		{"status", Count, 0, "of the last answer: HTTP status, exit code, gRPC health (1 is serving), DNS code (0 is good)"},
		{"expires", Seconds, 0, "how long the certificate is still valid, below 0 when it has ended; probes of TLS only"},
	}},
	{name: "pool", keyed: true, scope: Service, every: time.Second, source: "what the pool tells", fields: []field{
		{"active", Count, 0, "clients that are linked to a server connection; in PostgreSQL sessions at work"},
		{"idle", Count, 0, "server connections that are free; in PostgreSQL idle sessions"},
		{"waiting", Count, 0, "clients that wait for a server connection; in PostgreSQL sessions that wait for a lock"},
		{"used_ratio", Ratio, 0, "share of the pool's server connections in use"},
		{"max_wait", Seconds, 0, "how long the first client in the queue has waited; unknown of HAProxy"},
		{"up_ratio", Ratio, 0, "share of the servers that take requests, without those in maintenance; HAProxy only"},
	}},
	{name: "log", keyed: true, scope: Service, every: time.Second, source: "the service's lines in the journal",
		fields: logFields},
	{name: Change, scope: Service, source: "recorded changes", fields: changeFields},
	{name: SLO, keyed: true, scope: Service, every: time.Second, source: "the service's objectives", fields: []field{
		{"burn", Count, 0, "how fast the error budget is used up, by the last hour or 5 minutes, whichever says less; at 1 all of it in the window"},
		{"slow_burn", Count, 0, "the same by the last 6 hours or 30 minutes"},
		{"budget", Ratio, 0, "share of the window's error budget that is left; below 0 when more was bad than may be"},
		{"spent", Bool, 0, "whether the error budget is used up; always known, and true until a budget above 0 is"},
	}},
}

var logFields = []field{
	{"rate", PerSecond, 0, "lines a second that match, over the log's window"},
	{"count", Count, counter, "lines that matched since the agent began to look"},
}

// Metric is the family of the signals that metric blocks of services declare: metric.NAME. What the
// blocks say of dimension, period and span is not in the catalogue.
const Metric = "metric"

// SLO is the family of the signals that slo blocks of services give: how an objective stands.
const SLO = "slo"

// metricInfo describes what is the same for all of them.
var metricInfo = Info{
	Name: Metric + ".*", Scope: Service, Help: "a metric of the service", Source: "the service's page of metrics",
}

// Context is the family of the signals that context blocks declare: context.NAME.FIELD. What the blocks say of
// dimension and period is not in the catalogue.
const Context = "context"

// Query is the family of the signals that query blocks declare: query.NAME. What the blocks say of dimension, period and
// span is not in the catalogue.
const Query = "query"

// queryInfo describes what is the same for all of them.
var queryInfo = Info{Name: Query + ".*", Help: "the answer to a query", Source: "a Prometheus server"}

// contextInfo describes what is the same for all of them.
var contextInfo = Info{Name: Context + ".*.*", Help: "a figure of a context", Source: "the context's document"}
