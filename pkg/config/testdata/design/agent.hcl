# /etc/salve/agent.hcl
host     = "web-1"                                 # default: the host name
labels   = { role = "web", zone = "a", stage = "production" }
autonomy = "full"                                  # default: observe

allow {                                            # the local last word: units × actions; nothing listed, nothing allowed
  units   = ["checkout.service", "worker@*.service"]
  actions = ["start", "restart", "reload", "set_property"]
}
allow {
  pools   = ["db"]
  actions = ["reset_pool"]
}
allow {
  paths   = ["/var/log/checkout"]
  actions = ["free_space"]
}
allow {
  exec    = ["/usr/lib/salve/hooks/*"]
  actions = ["exec", "probe"]
}

notifier "email" "me" {
  to   = "ops@example.org"
  smtp = "localhost:25"
}
escalation "default" {
  step { notify = ["email.me"] }
}

controller {                                       # leave out: the agent works alone
  addresses = ["ctl-1:7600", "ctl-2:7600", "ctl-3:7600"]
}
rules = "/etc/salve/rules.d"
