host     = "@NAME@"
autonomy = "full"
per_hour = 1000
data     = "@DIR@/data"
socket   = "@DIR@/agent.sock"
metrics  = "@HTTP@"
rules    = "@DIR@/rules.d"

controller {
  addresses = [@NODES@]
}
allow {
  units   = [@UNITS@]
  actions = ["start", "restart"]
}

notifier "webhook" "pager" {
  url         = "http://@PAGER@/page"
  secret_file = "@PAGERKEY@"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
