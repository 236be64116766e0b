# What is usual depends on what goes on outside. A desk tells how nervous its market is; while it is, more orders wait
# and more CPU time goes than on a quiet day, and nobody is to be woken by that. What cannot be read is unknown: then
# the threshold is unknown as well, and so is the rule, which people are told after five minutes.

context "market" {
  http  = "http://127.0.0.1:8090/state.json" # {"indices": [{"volatility": 0.12}]}
  every = "10s"

  field "volatility" {
    path = "indices.0.volatility"
    unit = "ratio"
  }
}

threshold "busy" {
  default = 70 * percent
  case {
    when  = context.market.volatility > 40 * percent
    value = 95 * percent
  }
}

# Much work, by what is much today. clear is without the threshold: that the market calms down or wakes up is no recovery.
rule "host-is-busy" {
  when  = avg(host.cpu.busy, "1m") > threshold.busy
  clear = avg(host.cpu.busy, "1m") < 60 * percent
  for   = "1m"
}

test "on a quiet day much work is unusual" {
  series = {
    "context.market.volatility" = "10%"
    "host.cpu.busy"             = "30%x120 85%"
  }
  at "2m" { firing = [] }
  at "5m" { firing = ["host-is-busy"] }
}

test "in a nervous market much work is usual, and a full host is not" {
  series = {
    "context.market.volatility" = "60%"
    "host.cpu.busy"             = "30%x120 85%x600 100%"
  }
  at "11m" { firing = [] }
  at "15m" { firing = ["host-is-busy"] }
}

test "nothing is said about a market that nobody knows" {
  series = {
    "context.market.volatility" = "unknown"
    "host.cpu.busy"             = "85%"
  }
  at "4m" { firing = [] }
}
