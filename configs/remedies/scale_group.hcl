# The queue grows: two more replicas of a deployment of Kubernetes, up to twelve. Who else sets the count at that moment wins.
service "worker" {
  group "workers" {
    url        = "https://kube.example.org:6443/apis/apps/v1/namespaces/shop/deployments/worker/scale"
    count      = "spec.replicas"
    version    = "metadata.resourceVersion"
    method     = "PATCH"
    type       = "application/merge-patch+json"
    body       = <<-END
      {"metadata": {"resourceVersion": ${version}}, "spec": {"replicas": ${count}}}
    END
    token_file = "/etc/salve/kube.token"
    ca_file    = "/etc/salve/kube.crt"
  }

  scrape "queue" {
    url = "http://127.0.0.1:9419/metrics"
    metric "waiting" { value = "queue_jobs_waiting" }
  }

  remedy "scale_group" "more-replicas" {
    group = "workers"
    by    = 2
    max   = 12

    verify {
      within = "5m" # an instance has to be found a place, and to start
    }
  }
}

rule "queue-grows" {
  services = ["worker"]
  when     = metric.waiting > 1000
  clear    = metric.waiting < 100
  try      = ["more-replicas"]
}

test "two more replicas empty the queue" {
  series = { "metric.waiting{worker}" = "20x60 4000" }
  after "more-replicas" {
    series = { "metric.waiting{worker}" = "4000x90 20" }
  }
  at "6m" { attempts = ["more-replicas verified"] }
}

test "a queue that grows all the same goes to people" {
  series = { "metric.waiting{worker}" = "20x60 4000" }
  at "40m" { incidents = { worker = "escalated" } }
}
