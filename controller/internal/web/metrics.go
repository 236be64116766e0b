package web

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/proto/adminpb"
)

// scrapeWithin bounds one look at the state.
const scrapeWithin = 3 * time.Second

// Collector shows what Status says of the cluster as this node knows it, at every scrape.
type Collector struct {
	admin                                                            adminpb.AdminServer
	up, build, leads, hasLeader, term, index, logTime, silent        *prometheus.Desc
	hosts, permits, fleetMax, incidents, breakers, pauses, attention *prometheus.Desc
	configOK, configRefused                                          *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector is registered by whoever has the registry.
func NewCollector(admin adminpb.AdminServer) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("salve_controller_"+name, help, labels, nil)
	}
	return &Collector{
		admin:     admin,
		up:        desc("up", "1 if this node answers."),
		build:     desc("build_info", "Always 1.", "version", "node"),
		leads:     desc("leads", "1 if this node leads."),
		hasLeader: desc("has_leader", "1 if this node knows of a leader."),
		term:      desc("raft_term", "Term of Raft."),
		index:     desc("log_index", "Index of the last entry that is applied here."),
		logTime:   desc("log_time_seconds", "Log time of the last entry that is applied here."),
		silent:    desc("leader_silent_seconds", "For how long this node has heard no leader."),
		hosts:     desc("hosts", "Hosts by what is known of them; one may be in several states.", "state"),
		permits:   desc("permits_open", "Permits that are not settled."),
		fleetMax:  desc("fleet_max", "Hosts that may be acting at once."),
		incidents: desc("incidents", "Incidents that have not ended.", "state"),
		breakers:  desc("breakers_open", "Breakers that stop a remedy everywhere."),
		pauses:    desc("pauses", "Pauses that hold."),
		attention: desc("warnings", "What a person should look at; salve status says what."),
		configOK:  desc("config_reload_ok", "0 if the last reload of this node's file was refused."),
		configRefused: desc("config_reloads_refused_total",
			"Reloads of this node's file that were refused since it started."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.up }

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	st, err := c.admin.Status(ctx, &adminpb.StatusRequest{Stale: true})
	if err != nil {
		gauge(c.up, 0)
		return
	}
	gauge(c.up, 1)
	gauge(c.build, 1, st.GetVersion(), st.GetAt().GetNode())
	gauge(c.leads, boolean(st.GetRole() == "leader"))
	gauge(c.hasLeader, boolean(st.GetLeader() != ""))
	gauge(c.term, float64(st.GetTerm()))
	gauge(c.index, float64(st.GetAt().GetIndex()))
	gauge(c.logTime, float64(st.GetLogTime())/1e9)
	gauge(c.silent, time.Duration(st.GetAt().GetStale()).Seconds())
	gauge(c.hosts, float64(st.GetHosts()), "known")
	gauge(c.hosts, float64(st.GetLost()), "lost")
	gauge(c.hosts, float64(st.GetQuarantined()), "quarantined")
	gauge(c.hosts, float64(st.GetAwaited()), "awaited")
	gauge(c.permits, float64(st.GetPermits()))
	gauge(c.fleetMax, float64(st.GetFleetMax()))
	gauge(c.incidents, float64(st.GetOpenIncidents()), "open")
	gauge(c.incidents, float64(st.GetEscalatedIncidents()), "escalated")
	gauge(c.breakers, float64(st.GetOpenBreakers()))
	gauge(c.pauses, float64(len(st.GetPauses())))
	gauge(c.attention, float64(len(st.GetWarnings())))
	gauge(c.configOK, boolean(st.GetConfigRefused() == ""))
	ch <- prometheus.MustNewConstMetric(c.configRefused, prometheus.CounterValue, float64(st.GetConfigRefusals()))
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
