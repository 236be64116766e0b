# Salve's agent on this host: what it may do, and whom it tells.
#
# As it stands the agent watches the host and does nothing. Say what it may do, and then:
#
#   salve validate /etc/salve      check this file and rules.d, before a reload
#   systemctl reload salve-agent   take it over; a mistake leaves the old one in force and says why
#   salve agent doctor             what would run, what would be refused, and why
#
# Everything that may stand here, explained: /usr/share/doc/salve-agent/examples.

# observe   watches, decides, and records what it would have done; never acts
# full      acts on every remedy that the allow blocks permit
autonomy = "observe"

# Nothing listed, nothing allowed. A unit that may be started or restarted is started again when it failed.
#
# allow {
#   units   = ["nginx.service"]
#   actions = ["start", "restart"]
# }

# Whom to tell of what Salve cannot heal.
notifier "journald" "log" {}

# notifier "email" "me" {
#   to   = "ops@example.org"
#   smtp = "localhost:25"
# }

escalation "default" {
  step {
    notify = ["journald.log"]
  }
}
