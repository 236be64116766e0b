# The host itself: what tells you early that it will be in trouble. Rules without services are about
# the host; without try they only tell people.

# One alert per mount point. Nearly full now.
rule "disk-full" {
  severity = "critical"
  when     = host.disk["*"].used_ratio > 95 * percent
  clear    = host.disk["*"].used_ratio < 90 * percent
  for      = "1m"
}

# Full within four hours, at the pace of the last hour and still at that of the last quarter of one: what was copied
# once and rests is no growth.
rule "disk-filling" {
  when = (
    host.disk["*"].used_ratio > 70 * percent &&
    predict(host.disk["*"].used_ratio, "4h", "1h") > 100 * percent &&
    predict(host.disk["*"].used_ratio, "4h", "15m") > 100 * percent
  )
  clear = host.disk["*"].used_ratio < 70 * percent || predict(host.disk["*"].used_ratio, "24h", "1h") < 100 * percent
  for   = "15m"
}

# Small files run out of inodes long before they run out of space, and the error says "no space left".
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

# The kernel killed something: what remained runs without it, and systemd may have restarted it without a word.
rule "oom" {
  when  = change(host.memory.oom_kills, "5m") > 0
  clear = change(host.memory.oom_kills, "30m") == 0
}

# Pressure alone can come from a cgroup's own CPU quota, so it is paired with a host that is busy.
rule "cpu-starved" {
  when  = avg(host.psi.cpu.some, "5m") > 50 * percent && avg(host.cpu.busy, "5m") > 95 * percent
  clear = avg(host.cpu.busy, "5m") < 85 * percent
}

# Everything that runs stood still for disks during a third of five minutes; a burst of writes does not last so long.
rule "io-starved" {
  when  = avg(host.psi.io.full, "5m") > 30 * percent
  clear = avg(host.psi.io.full, "5m") < 15 * percent
}

# A full table of tracked connections drops new ones without a word in any service's log. It is a share of its own limit,
# so much traffic on a host that is made for it is none.
rule "connection-table" {
  when  = host.conntrack.used_ratio > 85 * percent
  clear = host.conntrack.used_ratio < 75 * percent
}

# Nobody on the host can open a file any more, which programs take in many ways. A service's own limit is met earlier, and
# is its own trouble.
rule "open-files" {
  when  = host.fds.used_ratio > 85 * percent
  clear = host.fds.used_ratio < 75 * percent
}

# Without free process identifiers nothing starts, not even what would look for the cause. Threads count as well.
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

# One is enough: a disk that could not read once has lost something. It stays for a while, since few errors come alone.
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

# Nothing keeps the clock right any more: it drifts, by seconds a day.
rule "clock-free" {
  when = !host.clock.synchronised
  for  = "30m"
}

# A full listen queue refuses connections that the program never sees: no log of its own tells of them. A single one
# is a burst, ten in a minute are customers.
rule "connections-lost" {
  when  = change(host.tcp.listen_overflows, "1m") > 10
  clear = change(host.tcp.listen_overflows, "5m") == 0
}

# Logs, certificates, tokens and quorums go wrong before anybody suspects the clock.
rule "clock-off" {
  when  = host.clock.offset > 500 * ms || host.clock.offset < -500 * ms
  clear = host.clock.offset < 100 * ms && host.clock.offset > -100 * ms
  for   = "5m"
}

test "a disk that is nearly full is told, once it stays so for a minute" {
  series = { "host.disk[/var].used_ratio" = "80%x60 96%x600 85%" }
  at "90s" {
    firing  = []
    pending = ["disk-full"]
  }
  at "3m" {
    firing    = ["disk-full{/var}"]
    incidents = { host = "escalated" }
    said      = ["disk-full has no remedy"]
  }
  at "15m" {
    firing    = []
    incidents = { host = "resolved" }
  }
}

test "a disk that goes up and down around the limit does not fire" {
  every  = "10s"
  series = { "host.disk[/].used_ratio" = "94% 96%x3 94%x3 96%x3 94%" }
  at "5m" { incidents = { host = "none" } }
}

test "a disk that fills is told hours before it is full" {
  every  = "1m"
  series = { "host.disk[/var].used_ratio" = "60%+0.2%x200" }
  at "1h" { firing = [] }
  at "1h40m" { firing = ["disk-filling"] }
}

test "a large copy that has ended is not filling" {
  every  = "1m"
  series = { "host.disk[/var].used_ratio" = "71%x90 71%+1%x8 79%x300" }
  at "6h" { incidents = { host = "none" } }
}

test "a disk that is large and rests is not filling" {
  every  = "1m"
  series = { "host.disk[/var].used_ratio" = "88%x240" }
  at "4h" { incidents = { host = "none" } }
}

test "a slow growth, days away from full, is not told" {
  every  = "1m"
  series = { "host.disk[/var].used_ratio" = "71%+0.01%x600" }
  at "8h" { incidents = { host = "none" } }
}

test "inodes run out before space does" {
  series = {
    "host.disk[/srv].used_ratio"   = "20%"
    "host.disk[/srv].inodes_ratio" = "80%x60 93%"
  }
  at "3m" { firing = ["inodes"] }
}

test "a large page cache is no shortage of memory" {
  series = {
    "host.memory.available_ratio" = "3%"
    "host.psi.memory.full"        = "0%"
  }
  at "10m" { incidents = { host = "none" } }
}

test "memory is short when tasks stand still for it" {
  series = {
    "host.memory.available_ratio" = "40%x60 3%x120 30%"
    "host.psi.memory.full"        = "0%x60 25%x120 0%"
  }
  at "80s" { firing = [] }
  at "100s" { firing = ["memory-short"] }
  at "4m" { incidents = { host = "resolved" } }
}

test "one kill for lack of memory is told and ends by itself" {
  every  = "1m"
  series = { "host.memory.oom_kills" = "7x40 8x60" }
  at "39m" { firing = [] }
  at "41m" { firing = ["oom"] }
  at "85m" { incidents = { host = "resolved" } }
}

test "CPU pressure from a quota is not a starved host" {
  series = {
    "host.psi.cpu.some" = "80%"
    "host.cpu.busy"     = "30%"
  }
  at "20m" { incidents = { host = "none" } }
}

test "a busy host on which nobody waits is well used" {
  series = {
    "host.psi.cpu.some" = "5%"
    "host.cpu.busy"     = "99%"
  }
  at "20m" { incidents = { host = "none" } }
}

test "a host is starved when it is busy and tasks wait" {
  series = {
    "host.psi.cpu.some" = "10%x300 70%x900 0%"
    "host.cpu.busy"     = "50%x300 99%x900 20%"
  }
  at "9m" { firing = [] }
  at "15m" { firing = ["cpu-starved"] }
  at "30m" { incidents = { host = "resolved" } }
}

test "a short burst of writes is no starvation" {
  series = { "host.psi.io.full" = "0%x300 90%x60 0%" }
  at "15m" { incidents = { host = "none" } }
}

test "disks that hold everything up" {
  series = { "host.psi.io.full" = "0%x300 50%" }
  at "12m" { firing = ["io-starved"] }
}

test "tables of the kernel that fill up" {
  series = {
    "host.conntrack.used_ratio" = "50%x60 90%x60 50%"
    "host.fds.used_ratio"       = "50%x60 90%x60 50%"
    "host.pids.used_ratio"      = "50%x60 90%x60 50%"
  }
  at "90s" { firing = ["connection-table", "open-files", "process-table"] }
  at "4m" { incidents = { host = "resolved" } }
}

test "lost connections are told, a single one is not" {
  every  = "10s"
  series = { "host.tcp.listen_overflows" = "3x12 4x12 30+10x6 90" }
  at "3m" { firing = [] }
  at "5m" { firing = ["connections-lost"] }
  at "15m" { incidents = { host = "resolved" } }
}

test "a clock that is off, also into the past" {
  series = { "host.clock.offset" = "2ms x60 -900ms x600 1ms" }
  at "5m" { firing = [] }
  at "8m" { firing = ["clock-off"] }
  at "13m" { incidents = { host = "resolved" } }
}

test "a clock without its source is told, as what nobody can know" {
  series = { "host.clock.offset" = "1ms x60 unknown" }
  at "5m" { blind = [] }
  at "8m" {
    firing    = []
    blind     = ["clock-off"]
    incidents = { host = "escalated" }
  }
}

test "sockets that take the kernel's memory, and orphans that nobody closes" {
  series = {
    "host.tcp.memory_ratio"  = "20%x60 95%x60 20%"
    "host.tcp.orphans_ratio" = "0%x300 95%x60 0%"
  }
  at "1m30s" { firing = ["socket-memory"] }
  at "4m" { firing = [] }
  at "5m30s" { firing = ["socket-memory"] }
  at "7m" { incidents = { host = "resolved" } }
}

test "one error of a disk is told at once, and stays for a while" {
  series = { "host.log[disk_errors].rate" = "0x60 0.1x10 0" }
  at "59s" { firing = [] }
  at "62s" { firing = ["disk-errors"] }
  at "10m" { firing = ["disk-errors"] }
  at "12m" { incidents = { host = "resolved" } }
}

test "a root file system that takes no more writes" {
  every  = "10s"
  series = { "host.disk[/].read_only" = "false x6 true" }
  at "2m" { firing = ["read-only"] }
}

test "a clock that nothing keeps right, for longer than a restart of its source" {
  every  = "10s"
  series = { "host.clock.synchronised" = "true x6 false" }
  at "20m" { firing = [] }
  at "35m" { firing = ["clock-free"] }
}

test "a large copy onto a disk that is almost empty" {
  every = "1m"
  series = {
    "host.disk[/var].used_ratio" = "10%x70 10%+0.5%x100 60%x300"
  }
  at "6h" { incidents = { host = "none" } }
}

test "tasks that wait for the memory of their own limit, while the host has enough" {
  series = {
    "host.memory.available_ratio" = "40%"
    "host.psi.memory.full"        = "30%"
  }
  at "10m" { incidents = { host = "none" } }
}
