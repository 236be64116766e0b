# A service in a Java virtual machine, by what the machine itself writes to its unit's journal: no agent inside it, no page.
# The command line of the service needs -Xlog:gc. Name your own unit.

service "jvm" {
  unit    = "jvm.service"
  startup = "1m"

  probe "health" {
    http    = "http://127.0.0.1:8080/health"
    every   = "2s"
    timeout = "2s"
  }

  log "out_of_memory" { match = "java\\.lang\\.OutOfMemoryError" }

  # Those for lack of memory, not those that a program, a profiler or a heap dump asks for: "Pause Full (System.gc())".
  log "full_gc" {
    match  = "\\[gc.*Pause Full \\((G1 |Allocation|Ergonomics|Metadata GC Threshold)"
    window = "30s"
  }

  remedy "restart" "restart-jvm" {
    verify {
      when   = probe.health.ok
      within = "2m"
      hold   = "10s"
    }
  }
}

# After an OutOfMemoryError nobody knows which threads are gone, and nothing in there repairs that. One that a single request
# met, and that was survived, is no reason to act: it is when the service no longer answers.
rule "jvm-out-of-memory" {
  services = ["jvm"]
  severity = "critical"
  when     = max(log.out_of_memory.rate, "5m") > 0 && !probe.health.ok
  clear    = probe.health.ok
  for      = "10s"
  try      = ["restart-jvm"]
}

# It stops the world again and again and finds nothing to free: the heap is too small or leaks, and OutOfMemoryError comes
# next. One full collection is housekeeping; a burning CPU beside many says that they are the work.
rule "jvm-collects-all-day" {
  services = ["jvm"]
  when     = log.full_gc.rate > 0.2 / s && avg(unit.cpu, "1m") > 80 * percent
  clear    = log.full_gc.rate == 0
  for      = "1m"
}

# "Unable to create native thread" is told as lack of memory, and is TasksMax of the unit. A thread that was refused long
# ago is no news.
rule "jvm-threads-refused" {
  services = ["jvm"]
  when     = change(unit.refused_tasks, "10m") > 0
  clear    = change(unit.refused_tasks, "30m") == 0
}

test "out of memory, and it no longer answers" {
  series = {
    "log.out_of_memory.rate{jvm}" = "0x400 0.1x10 0"
    "probe.health.ok{jvm}"        = "true x430 false"
  }
  after "restart-jvm" {
    series = { "probe.health.ok{jvm}" = "false x20 true" }
  }
  at "429s" { firing = [] }
  at "10m" {
    attempts  = ["restart-jvm verified"]
    incidents = { jvm = "resolved" }
  }
}

test "one request was too large, and the service goes on" {
  series = {
    "log.out_of_memory.rate{jvm}" = "0x400 0.1x10 0"
    "probe.health.ok{jvm}"        = "true"
  }
  at "20m" { incidents = { jvm = "none" } }
}

test "nothing but collections" {
  series = {
    "log.full_gc.rate{jvm}" = "0x60 2x300 0"
    "unit.cpu{jvm.service}" = "30%x60 190%x300 30%"
  }
  at "2m" { firing = [] }
  at "4m" { firing = ["jvm-collects-all-day"] }
  at "8m" { incidents = { jvm = "resolved" } }
}

test "a few full collections on an idle machine, as its metadata grows" {
  series = {
    "log.full_gc.rate{jvm}" = "0x60 0.5x300 0"
    "unit.cpu{jvm.service}" = "20%"
  }
  at "10m" { incidents = { jvm = "none" } }
}

test "a busy service that collects as it should" {
  series = {
    "log.full_gc.rate{jvm}" = "0"
    "unit.cpu{jvm.service}" = "350%"
  }
  at "10m" { incidents = { jvm = "none" } }
}

test "threads that the unit's limit refuses" {
  every  = "10s"
  series = { "unit.refused_tasks{jvm.service}" = "4x90 4+1x6 9" }
  at "14m" { firing = [] }
  at "17m" { firing = ["jvm-threads-refused"] }
  at "1h" { incidents = { jvm = "resolved" } }
}

test "it does not answer, for another reason" {
  series = {
    "log.out_of_memory.rate{jvm}" = "0"
    "probe.health.ok{jvm}"        = "true x430 false"
  }
  at "15m" { incidents = { jvm = "none" } }
}
