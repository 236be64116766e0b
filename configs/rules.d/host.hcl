# The host itself: what tells you early that it will be in trouble. Rules without services are about
# the host; without try they only tell people.

# One alert per mount point. Nearly full now, or full within four hours at the pace of the last hour.
rule "disk-full" {
  severity = "critical"
  when     = host.disk["*"].used_ratio > 95 * percent
  clear    = host.disk["*"].used_ratio < 90 * percent
  for      = "1m"
}

rule "disk-filling" {
  when  = host.disk["*"].used_ratio > 70 * percent && predict(host.disk["*"].used_ratio, "4h") > 100 * percent
  clear = host.disk["*"].used_ratio < 70 * percent || predict(host.disk["*"].used_ratio, "24h", "1h") < 100 * percent
  for   = "10m"
}

rule "inodes" {
  when  = host.disk["*"].inodes_ratio > 90 * percent
  clear = host.disk["*"].inodes_ratio < 85 * percent
  for   = "1m"
}

# Memory is short when tasks stand still for it, not when the page cache is large.
rule "memory-short" {
  severity = "critical"
  when     = host.memory.available_ratio < 5 * percent && host.psi.memory.full > 10 * percent
  clear    = host.memory.available_ratio > 10 * percent && host.psi.memory.full < 5 * percent
  for      = "30s"
}

rule "oom" {
  when  = change(host.memory.oom_kills, "5m") > 0
  clear = change(host.memory.oom_kills, "30m") == 0
}

# Pressure alone can come from a cgroup's own CPU quota, so it is paired with a host that is busy.
rule "cpu-starved" {
  when  = avg(host.psi.cpu.some, "5m") > 50 * percent && avg(host.cpu.busy, "5m") > 95 * percent
  clear = avg(host.cpu.busy, "5m") < 85 * percent
}

rule "io-starved" {
  when  = avg(host.psi.io.full, "5m") > 30 * percent
  clear = avg(host.psi.io.full, "5m") < 15 * percent
}

# Tables of the kernel that, when full, refuse new work without a word in any service's log.
rule "connection-table" {
  when  = host.conntrack.used_ratio > 85 * percent
  clear = host.conntrack.used_ratio < 75 * percent
}

rule "open-files" {
  when  = host.fds.used_ratio > 85 * percent
  clear = host.fds.used_ratio < 75 * percent
}

rule "process-table" {
  when  = host.pids.used_ratio > 85 * percent
  clear = host.pids.used_ratio < 75 * percent
}

# Nobody hears of these but the kernel: connections are cut off, or not answered at all.
rule "socket-memory" {
  when  = host.tcp.memory_ratio > 90 * percent || host.tcp.orphans_ratio > 90 * percent
  clear = host.tcp.memory_ratio < 75 * percent && host.tcp.orphans_ratio < 75 * percent
}

# What the kernel says of disks that are ill. It is read from the journal, so the agent's user has to be in the group
# systemd-journal, as the packages have it.
log "disk_errors" {
  match = "I/O error, dev |medium error|EXT4-fs error|XFS .*(orruption|I/O error)|BTRFS (error|critical)"
}

rule "disk-errors" {
  severity  = "critical"
  when      = host.log["disk_errors"].rate > 0
  for       = "0s"
  clear_for = "10m"
}

# After errors the kernel writes no more. Leave this out where the root file system is meant to be so.
rule "read-only" {
  severity = "critical"
  when     = host.disk["/"].read_only
}

rule "clock-free" {
  when = !host.clock.synchronised
  for  = "30m"
}

rule "clock-off" {
  when  = host.clock.offset > 500 * ms || host.clock.offset < -500 * ms
  clear = host.clock.offset < 100 * ms && host.clock.offset > -100 * ms
  for   = "5m"
}
