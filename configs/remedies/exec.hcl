# A queue is stuck on a message that nobody can read: a program of the shop's own sets it aside, and can put it back. It says
# by its exit code that the queue moves again (3), that the message is one of those that it may not touch (4), or that the broker
# is busy (75).
service "shop" {
  probe "queue" { exec = ["/usr/lib/salve/hooks/queue-moves"] }

  remedy "exec" "set-aside" {
    command  = ["/usr/lib/salve/hooks/set-aside", "--oldest", "--note=${incident}", "${host}"]
    undo     = ["/usr/lib/salve/hooks/set-aside", "--put-back", "--note=${incident}", "${host}"]
    unneeded = [3]
    refused  = [4]
    retry    = [75]
    timeout  = "20s"
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
