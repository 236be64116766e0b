package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/remedy"
)

// serviceDraft is a service whose references to others are still words.
type serviceDraft struct {
	*Service
	unitAt   word
	autonomy word // "" when the service does not say
	depends  []word
	remedies []*remedyDraft

	permitAt, aloneAt hcl.Range
}

func (l *loader) decodeService(b *block) {
	name := b.labels[0]
	s := &Service{
		Name: name, Unit: name + ".service", Range: b.header,
		Startup: b.duration("startup"), Tier: b.text("tier"), Every: b.duration("every"),
	}
	d := &serviceDraft{Service: s, depends: b.texts("depends_on")}
	b.name("service", checkName)
	s.PermitAlways, s.Alone, s.UnsafeAlone = b.permit()
	d.permitAt, d.aloneAt = b.at("permit"), b.at("alone")
	if b.has("unit") {
		s.Unit = b.checked("unit", func(s string) string { return remedy.CheckUnitName(s, true) })
	} else if wrong := remedy.CheckUnitName(s.Unit, true); wrong != "" {
		l.fail(b.labelAt, "Wrong value", "The unit of a service is NAME.service unless it says otherwise: %s.", wrong)
	}
	d.unitAt = word{s.Unit, b.at("unit")}
	if b.has("release") {
		s.Release = b.checked("release", checkRelease)
	}
	if b.has("autonomy") {
		d.autonomy = word{b.text("autonomy"), b.at("autonomy")}
	}
	for _, w := range d.depends {
		s.DependsOn = append(s.DependsOn, w.text)
	}
	for _, nested := range b.blocks("probe") {
		s.Probes = append(s.Probes, l.decodeProbe(nested))
	}
	for _, nested := range b.blocks("scrape") {
		s.Scrapes = append(s.Scrapes, l.decodeScrape(nested))
	}
	for _, nested := range b.blocks("statsd") {
		s.StatsDs = append(s.StatsDs, l.decodeStatsD(nested))
	}
	for _, nested := range b.blocks("otlp") {
		s.OTLPs = append(s.OTLPs, l.decodeOTLP(nested, s))
	}
	for _, nested := range b.blocks("pool") {
		s.Pools = append(s.Pools, l.decodePool(nested))
	}
	for _, nested := range b.blocks("cache") {
		s.Caches = append(s.Caches, l.decodeCache(nested))
	}
	for _, nested := range b.blocks("circuit") {
		s.Circuits = append(s.Circuits, l.decodeCircuit(nested))
	}
	for _, nested := range b.blocks("group") {
		s.Groups = append(s.Groups, l.decodeGroup(nested))
	}
	for _, nested := range b.blocks("log") {
		s.Logs = append(s.Logs, l.decodeLog(nested))
	}
	for _, nested := range b.blocks("slo") {
		s.SLOs = append(s.SLOs, l.decodeSLO(nested, s))
	}
	for _, nested := range b.blocks("remedy") {
		r := l.decodeRemedy(nested)
		r.Service = s
		r.leadsBack(s)
		s.Remedies = append(s.Remedies, r.Remedy)
		d.remedies = append(d.remedies, r)
	}
	l.services = append(l.services, d)
}

// checkRelease says what is wrong with the path of a release link; "" nothing.
func checkRelease(path string) string {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
		return "it must be the absolute path of a link, such as \"/srv/shop/current\""
	}
	return ""
}

// name checks the last label, and that no other block of the type within the same block has it.
func (b *block) name(what string, check func(string) string) string {
	name := b.labels[len(b.labels)-1]
	if wrong := check(name); wrong != "" {
		b.l.fail(b.labelAt, "Wrong name", "%s.", wrong)
	}
	b.l.unique(what, b.within, name, b.labelAt)
	return name
}

// patience reads the timeout of something that is asked with a period: one question at a time.
func (b *block) patience(every time.Duration) time.Duration {
	timeout := b.duration("timeout")
	if !b.has("timeout") {
		return min(timeout, every)
	}
	if what, _, _ := strings.Cut(b.what, " "); timeout > every {
		b.fail("timeout", "Out of bounds", "timeout (%s) must not be longer than every (%s): one %s at a time.",
			timeout, every, what)
	}
	return timeout
}
