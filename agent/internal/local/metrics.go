package local

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/pkg/incident"
)

// The states that are always exported, so that a graph shows zero and not a gap.
var (
	alertStates    = []string{"pending", "firing", "clearing"}
	incidentStates = []incident.State{incident.Open, incident.Healing, incident.Escalated, incident.Acknowledged}
)

// collector reads the backend's Status at every scrape, so that nothing has to be kept in step.
type collector struct {
	v Viewer

	healthy, journal, build, uptime, rules, services     *prometheus.Desc
	alerts, incidents, attempts, notifications, pauses   *prometheus.Desc
	remediesHour, remediesLimit                          *prometheus.Desc
	sourceOK, sourceDuration, sourceAge, sourceSamples   *prometheus.Desc
	sourceWarnings, sourcePoints                         *prometheus.Desc
	tick, tickMax, configLoaded, configOK, configRefused *prometheus.Desc
	connected, silent, unsent, permits                   *prometheus.Desc
}

var _ prometheus.Collector = (*collector)(nil)

func newCollector(v Viewer) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("salve_agent_"+name, help, labels, nil)
	}
	return &collector{
		v:              v,
		healthy:        desc("healthy", "1 if nothing keeps the agent from its work; /healthz says what does."),
		journal:        desc("journal_healthy", "1 if intents can be written; without that nothing is acted on."),
		build:          desc("build_info", "Always 1.", "version", "host", "autonomy"),
		uptime:         desc("uptime_seconds", "Since the agent started."),
		rules:          desc("rules", "Rules that are evaluated."),
		services:       desc("services", "Services that are looked after."),
		alerts:         desc("alerts", "Alerts by state.", "state"),
		incidents:      desc("incidents", "Incidents that have not ended, by state.", "state"),
		attempts:       desc("attempts_total", "Attempts since the agent started.", "kind", "outcome"),
		notifications:  desc("notifications_total", "Messages since the agent started.", "notifier", "result"),
		pauses:         desc("pauses", "Pauses that hold now."),
		remediesHour:   desc("remedies_last_hour", "Remedies of the last hour, undo exempt."),
		remediesLimit:  desc("remedies_hour_limit", "Remedies that are allowed in an hour."),
		sourceOK:       desc("source_up", "1 if the last sampling of the source went well.", "source"),
		sourceDuration: desc("source_duration_seconds", "Time that the last sampling took.", "source"),
		sourceAge:      desc("source_age_seconds", "Since the last sampling that went well.", "source"),
		sourceSamples:  desc("source_samples_total", "Samplings since the agent started.", "source", "result"),
		sourceWarnings: desc("source_warnings_total", "Reservations about what the source told, since the agent started; absent without any.", "source"),
		sourcePoints:   desc("source_points_total", "Points that were sent to the source since it began.", "source", "result"),
		tick:           desc("engine_tick_seconds", "Time that evaluating all rules takes."),
		tickMax:        desc("engine_tick_max_seconds", "The longest evaluation since the agent started."),
		connected:      desc("controller_connected", "1 if a session with the controller is established; absent on a host that is alone."),
		silent:         desc("controller_silent_seconds", "Since the last round trip with the controller began."),
		unsent:         desc("controller_unsent_events", "Events that the controller does not have."),
		permits:        desc("controller_permits", "Permits that this host holds."),
		configLoaded:   desc("config_loaded_timestamp_seconds", "When the configuration was loaded."),
		configOK:       desc("config_reload_ok", "0 if the last reload was refused."),
		configRefused:  desc("config_reloads_refused_total", "Reloads refused since the agent started."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.healthy }

// Collect implements prometheus.Collector. A backend that does not answer is unhealthy and nothing else.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	st, err := c.v.Status(ctx)
	if err != nil {
		gauge(ch, c.healthy, 0)
		return
	}
	gauge(ch, c.healthy, boolean(len(st.Problems) == 0))
	gauge(ch, c.journal, boolean(st.Journal == nil))
	gauge(ch, c.build, 1, st.Version, st.Host, st.Autonomy)
	gauge(ch, c.uptime, st.Uptime.Seconds())
	c.collectWork(ch, st)
	c.collectSources(ch, st.Sources)
	c.collectEngine(ch, st)
	if l := st.Controller; l != nil {
		gauge(ch, c.connected, boolean(l.Connected))
		gauge(ch, c.silent, l.Silent.Seconds())
		gauge(ch, c.unsent, float64(l.Unsent))
		gauge(ch, c.permits, float64(l.Permits))
	}
}

func (c *collector) collectWork(ch chan<- prometheus.Metric, st Status) {
	gauge(ch, c.services, float64(len(st.Services)))
	for _, s := range alertStates {
		gauge(ch, c.alerts, float64(st.Alerts[s]), s)
	}
	for _, s := range incidentStates {
		gauge(ch, c.incidents, float64(st.Incidents[s]), string(s))
	}
	for k, n := range sorted(st.Attempts, func(a, b AttemptClass) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Outcome, b.Outcome))
	}) {
		counter(ch, c.attempts, n, k.Kind, k.Outcome)
	}
	for k, n := range sorted(st.Notifications, func(a, b DeliveryClass) int {
		return cmp.Or(cmp.Compare(a.Notifier, b.Notifier), cmp.Compare(a.Result, b.Result))
	}) {
		counter(ch, c.notifications, n, k.Notifier, k.Result)
	}
	gauge(ch, c.pauses, float64(len(st.Pauses)))
	gauge(ch, c.remediesHour, float64(st.RemediesHour))
	gauge(ch, c.remediesLimit, float64(st.RemediesLimit))
}

func (c *collector) collectSources(ch chan<- prometheus.Metric, sources []Source) {
	for _, s := range sources {
		gauge(ch, c.sourceOK, boolean(s.Err == nil), s.Name)
		gauge(ch, c.sourceDuration, s.Duration.Seconds(), s.Name)
		if s.Age >= 0 {
			gauge(ch, c.sourceAge, s.Age.Seconds(), s.Name)
		}
		counter(ch, c.sourceSamples, s.Successes, s.Name, "success")
		counter(ch, c.sourceSamples, s.Failures, s.Name, "failure")
		if s.Warnings > 0 {
			counter(ch, c.sourceWarnings, s.Warnings, s.Name)
		}
		for result, n := range s.Points {
			counter(ch, c.sourcePoints, n, s.Name, result)
		}
	}
}

func (c *collector) collectEngine(ch chan<- prometheus.Metric, st Status) {
	gauge(ch, c.rules, float64(st.Rules))
	ch <- prometheus.MustNewConstSummary(c.tick, st.Tick.Count, st.Tick.Sum.Seconds(), nil)
	gauge(ch, c.tickMax, st.Tick.Max.Seconds())
	if !st.Config.Loaded.IsZero() {
		gauge(ch, c.configLoaded, float64(st.Config.Loaded.UnixMilli())/1000)
	}
	gauge(ch, c.configOK, boolean(st.Config.Refused == ""))
	counter(ch, c.configRefused, st.Config.Refusals)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, n uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sorted goes through a map in the order of compare.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) func(yield func(K, V) bool) {
	return func(yield func(K, V) bool) {
		for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
