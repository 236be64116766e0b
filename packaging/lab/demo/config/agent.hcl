# The demo's agent. It may do what the seven stories need, and nothing else.
# The demo fills in what stands between @ signs: its folder and the loopback ports that were free.

host     = "demo"
autonomy = "full"
per_hour = 50
data     = "@DIR@/state"
socket   = "@DIR@/agent.sock"
metrics  = "@METRICS@"
rules    = "@DIR@/rules.d"

# The local last word: nothing outside of these blocks is ever done, whoever asks.
allow {
  units = [
    "salve-demo-checkout.service",
    "salve-demo-search.service",
    "salve-demo-basket.service",
    "salve-demo-payment.service",
    "salve-demo-catalog.service",
    "salve-demo-shipping.service",
  ]
  actions = ["start", "restart"]
}
allow {
  units   = ["salve-demo-reports.service"]
  actions = ["set_property", "stop", "start"] # start is the undo of stop
}
allow {
  exec    = ["@DIR@/hooks/*"]
  actions = ["exec"]
}

# Whom to tell when there is nothing left to try: here a receiver in the demo itself, which checks
# the signature of what it gets.
notifier "webhook" "pager" {
  url         = "http://@PAGER@/page"
  secret_file = "@DIR@/pager.key"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
