# The controller of the demo's second act: one node, for two hosts.
# The demo fills in what stands between @ signs: its folder and the loopback ports that were free.

node = "ctl-1"
data = "@DIR@/state"

listen {
  grpc = "@GRPC@"
  raft = "@RAFT@"
  http = "@HTTP@"
}

# Of the two hosts of the shop one may be under repair at a time, or down; while it is, the other one,
# however sick, goes on serving.
service "shop" {
  max_unavailable = 1
  owners          = "the demo"
}

notifier "webhook" "pager" {
  url         = "http://@PAGER@/page"
  secret_file = "@DIR@/pager.key"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
