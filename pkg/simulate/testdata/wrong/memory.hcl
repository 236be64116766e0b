# A rule that is wrong on purpose: "or" where it must be "and". A full page cache then wakes people up.

rule "memory-short" {
  severity = "critical"
  when     = host.memory.available_ratio < 5 * percent || host.psi.memory.full > 10 * percent
  clear    = host.memory.available_ratio > 10 * percent && host.psi.memory.full < 5 * percent
  for      = "30s"
}

test "memory is short when tasks stand still for it" {
  series = {
    "host.memory.available_ratio" = "40%x60 3%x120 30%"
    "host.psi.memory.full"        = "0%x60 25%x120 0%"
  }
  at "100s" { firing = ["memory-short"] }
}

test "a large page cache is no shortage of memory" {
  series = {
    "host.memory.available_ratio" = "3%"
    "host.psi.memory.full"        = "0%"
  }
  at "10m" { firing = [] }
}
