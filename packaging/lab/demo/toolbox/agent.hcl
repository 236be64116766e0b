# The agent of the fourth act. It may do more than restart, and nothing outside of these blocks. What stands between @ signs
# is filled in by the demo.

host     = "tools-1"
autonomy = "full"
data     = "@DIR@/state"
socket   = "@DIR@/agent.sock"
metrics  = "@METRICS@"
rules    = "@DIR@/rules.d"

allow {
  paths   = ["@DISK@/logs"]
  actions = ["free_space"]
}
allow {
  caches  = ["pages"]
  actions = ["clear_cache"]
}
allow {
  units   = ["salve-demo-worker@*.service"]
  actions = ["scale"]
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
