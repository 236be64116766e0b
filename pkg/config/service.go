package config

import (
	"path/filepath"
	"strings"

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
	if b.has("autonomy") {
		d.autonomy = word{b.text("autonomy"), b.at("autonomy")}
	}
	for _, w := range d.depends {
		s.DependsOn = append(s.DependsOn, w.text)
	}
	for _, nested := range b.blocks("probe") {
		s.Probes = append(s.Probes, l.decodeProbe(nested))
	}
	for _, nested := range b.blocks("pool") {
		s.Pools = append(s.Pools, l.decodePool(nested))
	}
	for _, nested := range b.blocks("remedy") {
		r := l.decodeRemedy(nested)
		r.Service = s
		s.Remedies = append(s.Remedies, r.Remedy)
		d.remedies = append(d.remedies, r)
	}
	l.services = append(l.services, d)
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

func (l *loader) decodeProbe(b *block) *Probe {
	p := &Probe{
		Name: b.name("probe", checkWord), Range: b.header,
		HTTP: b.checked("http", checkURL), TCP: b.checked("tcp", checkDial), Exec: b.command("exec", ActionProbe),
		Status: b.integers("status"), Body: b.text("body"),
		Every: b.duration("every"), Timeout: b.duration("timeout"), Misses: b.integer("misses"),
	}
	b.one("http", "tcp", "exec")
	if only := b.set("status", "body"); len(only) > 0 && !b.has("http") {
		b.fail(only[0], "Not for this probe", "%s is about the answer to an HTTP probe.", only[0])
	}
	if len(p.Body) > maxBody {
		b.fail("body", "Too long", "body has at most %d bytes.", maxBody)
	}
	if !b.has("timeout") {
		p.Timeout = min(p.Timeout, p.Every)
	}
	if p.Timeout > p.Every {
		b.fail("timeout", "Out of bounds", "timeout (%s) must not be longer than every (%s): one probe at a time.",
			p.Timeout, p.Every)
	}
	return p
}

// maxBody bounds the text that an HTTP probe looks for.
const maxBody = 1024

func (l *loader) decodePool(b *block) *Pool {
	p := &Pool{
		Name: b.name("pool", checkWord), Range: b.header,
		PgBouncer: b.checked("pgbouncer", checkConsole), Database: b.text("database"), User: b.text("user"),
		PasswordFile: b.text("password_file"), Every: b.duration("every"),
	}
	if b.has("password_file") {
		p.PasswordFile, _ = b.secretFile("password_file")
	}
	return p
}

// checkConsole is for the admin console of PgBouncer: the path of its socket, or host:port.
func checkConsole(s string) string {
	if strings.HasPrefix(s, "/") {
		if wrong := checkAbsolute(s); wrong != "" || !strings.HasPrefix(filepath.Base(s), ".s.PGSQL.") {
			return s + " is not the path of a PgBouncer socket (…/.s.PGSQL.6432)"
		}
		return ""
	}
	return checkAddress(s)
}
