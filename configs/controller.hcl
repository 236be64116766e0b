# Salve's controller on this node: what it decides by for the whole fleet, and whom it tells.
#
#   salve validate /etc/salve          check this file, before a reload
#   systemctl reload salve-controller  take it over; a mistake leaves the old one in force and says why
#
# Times are texts such as "500ms", "10s", "5m", "1h30m". Every key that is left out has a default:
# docs/defaults.md lists them all.
#
# As it stands this is a controller of one node, for agents of the same host: without a tls block all
# addresses are on loopback, and lines are plain text.

# node = "ctl-1"                      # default: the host name; its ID for Raft, never to be changed
# data = "/var/lib/salve/controller"

# listen {
#   grpc = "127.0.0.1:7600"           # agents and operators
#   raft = "127.0.0.1:7601"           # the other nodes; default: this node's entry in peers
#   http = "127.0.0.1:7602"           # web page, /metrics, /healthz, /readyz; "" turns them off
# }

# Who this node is, and whom it trusts. `salve-controller init` makes the files; those of another
# authority will do, too. They are read again when they change.
#
# tls {
#   ca     = "/etc/salve/tls/ca.pem"         # while authorities change: old and new one
#   cert   = "/etc/salve/tls/ctl-1.pem"      # for salve://controller/ctl-1 and the names that it is dialled by
#   key    = "/etc/salve/tls/ctl-1-key.pem"
#   ca_key = "/etc/salve/tls/ca-key.pem"     # only on nodes that give hosts and nodes their certificates
#   host_life = "24h"                        # of the certificates that it gives; they renew themselves
#   node_life = "8760h"
# }

# Three or five nodes agree by Raft. Each has this block with the same peers, itself included, written
# as NODE=HOST:PORT, or as HOST:PORT where the node is called as its host. They form a cluster once so
# many of them see each other and none has state already.
#
# raft {
#   bootstrap_expect = 3
#   peers            = ["ctl-1=127.0.0.1:7601", "ctl-2=127.0.0.1:7611", "ctl-3=127.0.0.1:7621"]
#   profile          = "default"      # "fast" for fast disks and networks: the next leader comes sooner
# }

# From here on all nodes' files should say the same. It is replicated when a node's file changes: the
# newest change counts, whichever node leads.

# A service that has no block here may have one host out at a time, and does what its hosts say.
#
# service "checkout" {
#   max_unavailable = 1               # hosts, or a share such as 30 * percent; 0: none, ever
#   autonomy        = "full"          # default: what each host says; the stricter of the two wins
#   owners          = "payments"
#   escalation      = "on-call"       # for incidents whose rule names none
# }
# service "ledger" {
#   max_unavailable = 30 * percent
#   permit          = "always"        # nothing of it without leave, not even the start of a dead unit
#   alone           = "wait"          # "act" lets lost hosts act; max_unavailable is not guaranteed then
# }

# Many hosts with the same alert have a common cause. Then nothing acts, and a person is called.
breaker {
  share  = 30 * percent # of the hosts of a service, and at least 3
  window = "5m"         # alerts that began within it count together
}

# Hosts that may be acting at once, over all services. Default: 10 % of all hosts, and at least 3.
#
# fleet_max = 5

# Whom to tell. Secrets stand in files that the controller's user can read and others cannot, in
# systemd's credentials ("$CREDENTIALS_DIRECTORY/NAME"), or in the environment (…_env).
notifier "journald" "log" {}

# notifier "email" "all" {
#   to   = "ops@example.org"
#   smtp = "localhost:25"
# }
# notifier "slack" "ops" {
#   webhook_file = "/etc/salve/slack.url"
# }
# notifier "pagerduty" "payments" {
#   routing_key_file = "/etc/salve/pagerduty.key"
#   url              = "https://events.eu.pagerduty.com/v2/enqueue"  # accounts in the EU only
# }
# notifier "alertmanager" "am" {
#   urls   = ["http://127.0.0.1:9093"]  # every member of the cluster
#   labels = { team = "payments" }
# }
# notifier "webhook" "hook" {
#   url         = "https://example.org/salve"
#   secret_file = "/etc/salve/webhook.key"  # signs each message (HMAC-SHA256)
# }

# What Salve cannot heal goes to people, step by step, until somebody acknowledges it. Rules name an
# escalation; "default" is that of rules and services which name none.
escalation "default" {
  step {
    notify = ["journald.log"]
  }
}

# escalation "on-call" {
#   step {
#     notify = ["slack.ops", "alertmanager.am"]
#   }
#   step {
#     after  = "5m"                   # after the step before
#     notify = ["pagerduty.payments"]
#   }
#   step {
#     after  = "10m"
#     notify = ["email.all", "webhook.hook"]
#     repeat = 3                      # so many times more, each 10 minutes later
#   }
# }

# An outside dead man's switch: it calls you when the pings of the leader stop.
#
# heartbeat {
#   url_file = "/etc/salve/heartbeat.url"
#   every    = "1m"
# }

# No remedies while something else works on the services, on any host.
#
# window "backup" {
#   days     = ["sat", "sun"]         # default: every day
#   from     = "22:00"
#   to       = "06:00"                # of the next day
#   zone     = "Europe/Berlin"
#   services = ["checkout"]           # default: all
#   reason   = "weekly backup"
# }
