# RabbitMQ, by its own plugin rabbitmq_prometheus. Nothing is tried: messages that only it has are in there.

service "rabbitmq" {
  unit    = "rabbitmq-server.service"
  startup = "2m"

  scrape "own" {
    url   = "http://127.0.0.1:15692/metrics"
    every = "5s"

    metric "memory_alarm" { value = "rabbitmq_alarms_memory_used_watermark" }
    metric "disk_alarm" { value = "rabbitmq_alarms_free_disk_space_watermark" }
    metric "files_alarm" { value = "rabbitmq_alarms_file_descriptor_limit" }
    metric "ready" { value = "rabbitmq_queue_messages_ready" }
    metric "unacked" { value = "rabbitmq_queue_messages_unacked" }
    metric "consumers" { value = "rabbitmq_consumers" }
    metric "published" {
      rate   = "rabbitmq_global_messages_received_total"
      window = "1m"
    }
    metric "finished" {
      rate   = "rabbitmq_global_messages_acknowledged_total"
      window = "1m"
    }
  }
}

# It takes no more messages from anybody, until memory, disk or files are there again; publishers hang without an error.
# Memory goes over its mark for a moment when a large message is read.
rule "rabbitmq-blocks" {
  services = ["rabbitmq"]
  severity = "critical"
  when     = metric.memory_alarm > 0 || metric.disk_alarm > 0 || metric.files_alarm > 0
  clear    = metric.memory_alarm == 0 && metric.disk_alarm == 0 && metric.files_alarm == 0
  for      = "30s"
}

# Messages come and nobody takes them. Consumers that a release starts again are back in a minute, and an empty broker
# needs none.
rule "rabbitmq-no-consumers" {
  services = ["rabbitmq"]
  severity = "critical"
  when     = metric.consumers == 0 && metric.ready > 0 && metric.published > 0
  clear    = metric.consumers > 0
  for      = "2m"
}

# More comes than is done, and it goes on: what waits would take more than ten minutes at this pace, and it has grown. A
# batch puts in much at once, which then gets less.
rule "rabbitmq-falls-behind" {
  services = ["rabbitmq"]
  when = (
    metric.ready > 1000 && metric.ready > 10 * minute * metric.finished &&
    change(metric.ready, "5m") > 0
  )
  clear = metric.ready < 1000 || change(metric.ready, "5m") < 0
  for   = "5m"
}

# Consumers hold messages and finish none: they hang, or wait for something that does. One long job holds few, so it is
# about many.
rule "rabbitmq-consumers-hang" {
  services = ["rabbitmq"]
  when     = metric.unacked > 50 && metric.finished == 0
  clear    = metric.finished > 0 || metric.unacked == 0
  for      = "3m"
}

test "memory is short, and publishers hang" {
  series = {
    "metric.memory_alarm{rabbitmq}" = "0x60 1x120 0"
    "metric.disk_alarm{rabbitmq}"   = "0"
    "metric.files_alarm{rabbitmq}"  = "0"
  }
  at "80s" { firing = [] }
  at "2m" { firing = ["rabbitmq-blocks"] }
  at "5m" { incidents = { rabbitmq = "resolved" } }
}

test "a large message takes memory for a moment" {
  series = {
    "metric.memory_alarm{rabbitmq}" = "0x60 1x20 0"
    "metric.disk_alarm{rabbitmq}"   = "0"
    "metric.files_alarm{rabbitmq}"  = "0"
  }
  at "10m" { incidents = { rabbitmq = "none" } }
}

test "nobody takes what comes" {
  series = {
    "metric.consumers{rabbitmq}" = "3x60 0x240 3"
    "metric.ready{rabbitmq}"     = "0x60 0+10x240 0"
    "metric.published{rabbitmq}" = "10"
  }
  at "2m" { firing = [] }
  at "4m" { firing = ["rabbitmq-no-consumers"] }
  at "8m" { incidents = { rabbitmq = "resolved" } }
}

test "consumers are started again by a release" {
  series = {
    "metric.consumers{rabbitmq}" = "3x60 0x80 3"
    "metric.ready{rabbitmq}"     = "0x60 0+10x80 0"
    "metric.published{rabbitmq}" = "10"
  }
  at "10m" { incidents = { rabbitmq = "none" } }
}

test "an empty broker at night, and one that keeps what nobody wants any more" {
  series = {
    "metric.consumers{rabbitmq}" = "0"
    "metric.ready{rabbitmq}"     = "0x300 500"
    "metric.published{rabbitmq}" = "0"
  }
  at "15m" { incidents = { rabbitmq = "none" } }
}

test "more comes than is done" {
  every = "5s"
  series = {
    "metric.ready{rabbitmq}"    = "0x60 0+50x400 20000-200x60 8000-100x70 0"
    "metric.finished{rabbitmq}" = "5"
  }
  at "10m" { firing = [] }
  at "20m" { firing = ["rabbitmq-falls-behind"] }
  at "50m" { incidents = { rabbitmq = "resolved" } }
}

test "a batch puts in much, and it gets less" {
  every = "5s"
  series = {
    "metric.ready{rabbitmq}"    = "0x60 20000 20000-25x700"
    "metric.finished{rabbitmq}" = "5"
  }
  at "40m" { incidents = { rabbitmq = "none" } }
}

test "consumers that finish nothing" {
  series = {
    "metric.unacked{rabbitmq}"  = "20x60 200x300 0"
    "metric.finished{rabbitmq}" = "30x60 0x300 30"
  }
  at "3m" { firing = [] }
  at "5m" { firing = ["rabbitmq-consumers-hang"] }
  at "8m" { incidents = { rabbitmq = "resolved" } }
}

test "one long job" {
  series = {
    "metric.unacked{rabbitmq}"  = "1"
    "metric.finished{rabbitmq}" = "0"
  }
  at "30m" { incidents = { rabbitmq = "none" } }
}

test "consumers that have work waiting" {
  series = {
    "metric.consumers{rabbitmq}" = "3"
    "metric.ready{rabbitmq}"     = "500"
    "metric.published{rabbitmq}" = "10"
  }
  at "10m" { incidents = { rabbitmq = "none" } }
}

test "messages that are fetched one by one, without any consumer" {
  series = {
    "metric.consumers{rabbitmq}" = "0"
    "metric.ready{rabbitmq}"     = "0"
    "metric.published{rabbitmq}" = "10"
  }
  at "10m" { incidents = { rabbitmq = "none" } }
}

test "few slow jobs wait" {
  every = "5s"
  series = {
    "metric.ready{rabbitmq}"    = "100+1x400"
    "metric.finished{rabbitmq}" = "0.1"
  }
  at "40m" { incidents = { rabbitmq = "none" } }
}

test "much waits, and is done in a minute" {
  every = "5s"
  series = {
    "metric.ready{rabbitmq}"    = "9000+10x400"
    "metric.finished{rabbitmq}" = "500"
  }
  at "40m" { incidents = { rabbitmq = "none" } }
}

test "consumers that are busy and finish" {
  series = {
    "metric.unacked{rabbitmq}"  = "200"
    "metric.finished{rabbitmq}" = "30"
  }
  at "10m" { incidents = { rabbitmq = "none" } }
}
