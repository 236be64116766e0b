# /etc/salve/controller.hcl
node = "ctl-1"
data = "/var/lib/salve/controller"

raft {
  bootstrap_expect = 3
  peers            = ["ctl-1:7601", "ctl-2:7601", "ctl-3:7601"]
}

service "checkout" {
  max_unavailable = 1
  autonomy        = "full"
  owners          = "payments"
}

breaker {                                          # many hosts with the same alert: a common cause; stop acting, call a person
  share  = 30 * percent
  window = "5m"
}

notifier "pagerduty" "payments" { routing_key_file = "/etc/salve/pagerduty.key" }
notifier "slack" "ops" { webhook_file = "/etc/salve/slack.url" }

escalation "on-call" {
  step { notify = ["slack.ops"] }
  step {
    after  = "5m"
    notify = ["pagerduty.payments"]
    repeat = 3
  }
}

policies = "/etc/salve/policies"                   # Rego
