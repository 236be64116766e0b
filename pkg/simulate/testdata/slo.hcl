# Objectives are counted from what a test gives, in any order of the blocks.

service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/" }

  slo "up" {
    objective = 95 * percent
    window    = "24h"
    probe     = "health"
  }
}

rule "spent" {
  services = ["shop"]
  when     = slo.up.budget < 25 * percent
}

test "an hour of the 72 minutes that may be bad" {
  series = { "probe.health.ok{shop}" = "true x82800 false x3600 true" }
  at "23h50m" { firing = [] }
  at "24h10m" { firing = ["spent"] }
}

test "half of the window is not known" {
  series = { "probe.health.ok{shop}" = "false x42000 unknown" }
  at "16h" { firing = [] }
}

# Once the budget is spent nothing is done alone, and what fires is graver.

service "bank" {
  probe "health" { http = "http://127.0.0.1:8081/" }
  remedy "restart" "restart-bank" { attempts = 9 }

  slo "answers" {
    objective = 99 * percent
    window    = "24h"
    probe     = "health"
    spent {
      autonomy = "observe"
      severity = "critical"
    }
  }
}

rule "no-answer" {
  services  = ["bank"]
  when      = !probe.health.ok
  for       = "10s"
  clear_for = "10s"
  try       = ["restart-bank"]
  escalate { after = "1h" }
}

test "while budget is left, a remedy runs" {
  series = { "probe.health.ok{bank}" = "true x600 false x12 true" }
  at "10m20s" {
    attempts = ["restart-bank verified"]
    said     = ["restart-bank is the remedy to try for bank.service"]
  }
}

test "a fault that spends the budget becomes graver, and nothing more is tried" {
  series = { "probe.health.ok{bank}" = "false x1200 true" }
  at "14m" { said = ["attempt 6 of 9"] }
  at "17m" {
    would = ["restart-bank"]
    said = [
      "it is critical from now on, because the error budget of answers is spent",
      "autonomy is observe while the error budget of answers is spent, nothing is done; otherwise restart-bank is the remedy",
    ]
  }
}

test "what fires after that is graver from the beginning" {
  series = { "probe.health.ok{bank}" = "false x900 true x900 false" }
  at "29m" {
    firing    = []
    incidents = { bank = "resolved" }
  }
  at "31m" {
    firing = ["no-answer"]
    would  = ["restart-bank"]
    said   = ["!probe.health.ok (probe.health.ok = false); critical, because the error budget of answers is spent"]
  }
}
