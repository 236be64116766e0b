package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/pkg/transport"
)

// countStrangers shows in the metrics who did not get in.
func (c *controller) countStrangers() {
	const help = "Connections that came to nothing: the handshake failed; it was refused, since its address had failed too " +
		"often; or it showed no certificate, and was displaced by newer ones."
	for port, t := range map[string]*transport.Transport{"api": c.lines, "raft": c.peers} {
		for why, n := range map[string]func() uint64{
			"failed":    func() uint64 { return t.Counts().Failed },
			"refused":   func() uint64 { return t.Counts().Refused },
			"displaced": func() uint64 { return t.Counts().Displaced },
		} {
			c.counter("connections_lost_total", help, prometheus.Labels{"port": port, "why": why}, n)
		}
	}
	const tokens = "Tokens that let nobody in: wrong ones, those that came after too many of these and were not looked at " +
		"(limited), and refused enrolments."
	for why, n := range map[string]func() uint64{
		"wrong":     func() uint64 { wrong, _ := c.gate.Tokens(); return wrong },
		"limited":   func() uint64 { _, limited := c.gate.Tokens(); return limited },
		"enrolment": c.giver.Refused,
	} {
		c.counter("tokens_refused_total", tokens, prometheus.Labels{"why": why}, n)
	}
}

func (c *controller) counter(name, help string, labels prometheus.Labels, n func() uint64) {
	c.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "salve_controller_" + name, Help: help, ConstLabels: labels,
	}, func() float64 { return float64(n()) }))
}
