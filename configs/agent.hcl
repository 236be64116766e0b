# Salve's agent on this host: what it may do, and whom it tells.
#
#   salve validate /etc/salve      check this file and rules.d, before a reload
#   systemctl reload salve-agent   take it over; a mistake leaves the old one in force and says why
#   salve agent doctor             what would run, what would be refused, and why
#
# Times are texts such as "500ms", "10s", "5m", "1h30m". Every key that is left out has a default:
# docs/defaults.md lists them all.

# How much Salve does alone:
#   observe   watches, decides, and records what it would have done; never acts (default)
#   full      acts on every remedy that the allow blocks permit
# Begin with observe; `salve agent incidents` shows how it would have gone.
autonomy = "observe"

# host     = "web-1"                # default: the host name
# labels   = { stage = "production" } # words for conditions: label.stage == "production"
# per_hour = 12                     # remedies an hour, whatever happens
# record_mib = 64                   # keep what signals were, for `salve backtest`, in so many MiB
# metrics  = "127.0.0.1:7610"       # /metrics and /healthz, loopback only; "" turns them off
# rules    = "rules.d"              # folder of *.hcl files, relative to this one

# The local last word, whoever asks: targets × actions. Nothing listed, nothing allowed.
#
# Units may be globs. A unit that may be started or restarted and has no service block in rules.d gets
# one of its own, with a rule that starts it again when it failed. So the smallest useful
# configuration is one such block and autonomy = "full".
#
# Actions on units: start, restart, reload, stop, kill, set_property. The package's polkit rules give
# the agent's user exactly these verbs on exactly these units; where polkit has no rules, so does the
# helper: systemctl enable --now salve-agent-helper.socket
allow {
  units   = ["web.service", "kiosk.service", "nginx.service", "haproxy.service", "pgbouncer.service", "jvm.service"]
  actions = ["start", "restart", "reload"]
}

# Limits that a remedy may put on a unit which takes more than its share; see rules.d/neighbour.hcl.
allow {
  units   = ["backup.service"]
  actions = ["set_property"]
}

# Connection pools, by the names of the pool blocks; see rules.d/pool.hcl.
allow {
  pools   = ["db"]
  actions = ["reset_pool"]
}

# Programs of your own, with absolute paths, that nobody else can write. "exec" is for remedies,
# "probe" for probes, "notify" for notifiers.
#
# allow {
#   exec    = ["/usr/lib/salve/hooks/*"]
#   actions = ["exec", "probe", "notify"]
# }

# Whom to tell. Secrets stand in files that the agent's user can read and others cannot, in systemd's
# credentials ("$CREDENTIALS_DIRECTORY/NAME"), or in the environment (secret_env).
notifier "journald" "log" {}

# notifier "email" "me" {
#   to   = "ops@example.org"
#   smtp = "localhost:25"
# }
# notifier "webhook" "hook" {
#   url         = "https://example.org/salve"
#   secret_file = "/etc/salve/webhook.key"  # signs each message (HMAC-SHA256)
# }
# notifier "exec" "page" {
#   command = ["/usr/lib/salve/hooks/page"]
# }
# notifier "slack" "ops" {
#   webhook_file = "/etc/salve/slack.url"
# }
# notifier "pagerduty" "on-call" {
#   routing_key_file = "/etc/salve/pagerduty.key"
# }
# notifier "alertmanager" "am" {
#   urls = ["http://127.0.0.1:9093"]  # every member of the cluster
# }

# What Salve cannot heal goes to people, step by step, until somebody acknowledges it. Rules use the
# escalation "default" unless they name another. With a controller the controller does this, and the
# host itself only while the controller cannot be reached.
escalation "default" {
  step {
    notify = ["journald.log"]
  }

  # step {
  #   after  = "10m"                # after the step before
  #   notify = ["email.me"]
  #   repeat = 3                    # so many times more, each 10 minutes later
  # }
}

# The controller of the fleet: whatever may take away what this host still serves then waits for its
# leave. Left out, the agent works alone.
#
# controller {
#   addresses = ["ctl-1:7600"]        # every node of it; on loopback no identity is needed
# }
#
# Off loopback this host needs an identity: `salve-agent enroll` with a token of `salve enroll token`, or
# a certificate for salve://host/ID of another authority (ID is in the state folder's host_id):
#
# tls {
#   ca   = "/etc/salve/tls/ca.pem"
#   cert = "/etc/salve/tls/host.pem"
#   key  = "/etc/salve/tls/host-key.pem"
# }

# An outside dead man's switch: it calls you when the pings stop.
#
# heartbeat {
#   url_file = "/etc/salve/heartbeat.url"
#   every    = "1m"
# }

# No remedies while something else works on the services; windows may also stand in rules.d.
#
# window "backup" {
#   days     = ["sat", "sun"]       # default: every day
#   from     = "22:00"
#   to       = "06:00"              # of the next day
#   zone     = "Europe/Berlin"      # default: the host's
#   services = ["nginx"]            # default: all
#   reason   = "weekly backup"
# }
