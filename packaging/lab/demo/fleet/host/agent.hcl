# The agent of one of the two hosts. What takes away something that the host still serves needs the
# controller's leave; what it may do at all, this file alone says.

host     = "@HOST@"
autonomy = "full"
data     = "@DIR@/state"
socket   = "@DIR@/agent.sock"
metrics  = "@METRICS@"
rules    = "@DIR@/rules.d"

controller {
  addresses = ["@CONTROLLER@"]
}

allow {
  units   = ["@UNIT@"]
  actions = ["start", "restart"]
}

# Used only while the controller cannot be reached: then the host tells people by itself.
notifier "webhook" "pager" {
  url         = "http://@PAGER@/page"
  secret_file = "@PAGERKEY@"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
