# A queue is stuck on a message that nobody can read: a program of the shop's own sets it aside, and can put it back.
service "shop" {
  probe "queue" { exec = ["/usr/lib/salve/hooks/queue-moves"] }

  remedy "exec" "set-aside" {
    command = ["/usr/lib/salve/hooks/set-aside", "--oldest"]
    undo    = ["/usr/lib/salve/hooks/set-aside", "--put-back"]
    timeout = "20s"
  }
}

rule "queue-stands" {
  services = ["shop"]
  when     = !probe.queue.ok
  try      = ["set-aside"]
}

test "the queue moves once the message is gone" {
  series = { "probe.queue.ok{shop}" = "true x30 false" }
  after "set-aside" {
    series = { "probe.queue.ok{shop}" = "true" }
  }
  at "90s" { attempts = ["set-aside verified"] }
}
