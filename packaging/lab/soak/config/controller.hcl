node = "@NAME@"
data = "@DIR@"

listen {
  grpc = "@GRPC@"
  raft = "@RAFT@"
  http = "@HTTP@"
}
raft {
  bootstrap_expect = 3
  peers            = [@PEERS@]
}
breaker {
  share  = 100 * percent
  window = "10s"
}

notifier "webhook" "pager" {
  url         = "http://@PAGER@/page"
  secret_file = "@PAGERKEY@"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
