# The agent of the third act. What stands between @ signs is filled in by the demo.

host     = "shop-1"
autonomy = "full"
data     = "@DIR@/state"
socket   = "@DIR@/agent.sock"
metrics  = "@METRICS@"
rules    = "@DIR@/rules.d"

allow {
  units   = ["@UNIT@"]
  actions = ["start", "restart"]
}
allow {
  pools   = ["db"]
  actions = ["reset_pool"]
}

notifier "webhook" "pager" {
  url         = "http://@PAGER@/page"
  secret_file = "@DIR@/pager.key"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
escalation "on-call" {
  step { notify = ["webhook.pager"] }
}
