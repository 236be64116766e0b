// Package chaos holds what the test by real processes judges by: a ledger, which reads the controllers' audit as
// an outsider, and a witness, which watches the machines and asks no part of Salve. The test itself runs three
// controllers, six agents and their services, and breaks all of them at random.
package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/salveops/salve/proto/logpb"
)

// Place is a service on a host: what a permit takes away.
type Place struct{ Service, Host string }

// String is the place as a person writes it.
func (p Place) String() string { return p.Service + " on " + p.Host }

// Limits are what the controllers' configuration promises.
type Limits struct {
	Cap   int // hosts of one service that may be acting at once
	Fleet int // hosts that may be acting at once, over all services
}

// Ledger follows the audit, record by record, and says what must not stand in it.
type Ledger struct {
	limits    Limits
	serviceOf func(rule string) string

	last      *logpb.AuditRecord
	open      map[string]Place  // by token
	forgotten map[string]Place  // what was open, and is unknown to the backup that was restored
	token     uint64            // the highest that was granted
	granted   map[Place]int     // but for those that ended unused
	settled   map[string]int    // how many permits ended, by how
	paused    map[string]string // services, by the pause's ID
	pauses    int
	expect    []string // what people or faults bring about, and would be wrong otherwise
	wrong     []string
}

// NewLedger begins before the first record. serviceOf names the service that a rule is about.
func NewLedger(l Limits, serviceOf func(rule string) string) *Ledger {
	return &Ledger{limits: l, serviceOf: serviceOf, open: map[string]Place{}, granted: map[Place]int{},
		settled: map[string]int{}, paused: map[string]string{}}
}

// After is the number after which records are to be asked for. The last one that is known comes once more, which
// proves that nobody wrote another history meanwhile.
func (l *Ledger) After() uint64 {
	if l.last == nil {
		return 0
	}
	return l.last.GetN() - 1
}

// Take reads the records after After.
func (l *Ledger) Take(records []*logpb.AuditRecord) {
	if l.last != nil {
		if len(records) == 0 || !bytes.Equal(records[0].GetHash(), l.last.GetHash()) {
			l.complain("record %d is not what it was: %v is gone", l.last.GetN(), l.last)
			return
		}
		records = records[1:]
	}
	for _, r := range records {
		if r.GetN() != l.last.GetN()+1 || !bytes.Equal(r.GetPrevious(), l.last.GetHash()) ||
			!bytes.Equal(chain(r), r.GetHash()) {
			l.complain("record %d does not follow from record %d: the chain is broken", r.GetN(), l.last.GetN())
		}
		l.last = r
		l.read(r)
	}
}

// chain is the hash that a record must have.
func chain(r *logpb.AuditRecord) []byte {
	h := sha256.New()
	h.Write(r.GetPrevious())
	for _, n := range []uint64{r.GetN(), uint64(r.GetAt()), r.GetIndex()} {
		h.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	for _, text := range []string{
		r.GetBy(), r.GetAddress(), r.GetCredential(), r.GetWhat(), r.GetIncident(), r.GetText(),
	} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

var (
	grantText  = regexp.MustCompile(`^permit ((\d+)@[0-9a-f]+): \S+ for (.+) on (\S+)$`)
	settleText = regexp.MustCompile(`^permit (\d+@[0-9a-f]+): (unused|serving|failed|cleared|unknown)\b`)
	begins     = regexp.MustCompile(`^generation [0-9a-f]+ begins: `)
	pauseText  = regexp.MustCompile(`^(\S+): service:(\S+) for `)
	resumeText = regexp.MustCompile(`^(\S+?)(?:: | has ended: )`)
)

// Expect names records that people or faults bring about from now on, until Unexpect: they are not wrong, and not
// judged.
func (l *Ledger) Expect(what ...string) { l.expect = append(l.expect, what...) }

// Unexpect ends what was expected.
func (l *Ledger) Unexpect() { l.expect = nil }

// Backup notes where the history is when a person makes a backup of a controller. What it returns goes back there
// when that is restored: the history then has to go on from this very record. What was wrong stays wrong, and what is
// not in the backup counts again once its host has said that it still runs.
func (l *Ledger) Backup() (restored func()) {
	last, open, token, paused := l.last, maps.Clone(l.open), l.token, maps.Clone(l.paused)
	return func() {
		l.last, l.open, l.forgotten, l.token, l.paused = last, maps.Clone(open), l.open, token, maps.Clone(paused)
	}
}

// read judges one record.
func (l *Ledger) read(r *logpb.AuditRecord) {
	if r.GetWhat() == "running" {
		l.recall(r.GetBy())
	}
	if slices.Contains(l.expect, r.GetWhat()) {
		return
	}
	switch r.GetWhat() {
	case "grant":
		l.grant(r)
	case "settle":
		l.settle(r)
	case "pause":
		if m := pauseText.FindStringSubmatch(r.GetText()); m != nil {
			l.paused[m[1]] = m[2]
			l.pauses++
		}
	case "resume":
		if m := resumeText.FindStringSubmatch(r.GetText()); m != nil {
			delete(l.paused, m[1])
		}
	case "generation":
		if r.GetN() != 1 || !begins.MatchString(r.GetText()) {
			l.complain("nobody restored anything, and a new generation begins: %s", r.GetText())
		}
	case "quarantine", "journal", "running", "adopt", "remove", "revoke":
		l.complain("nobody copied, restored or removed a host, and the audit has %s by %s: %s", r.GetWhat(), r.GetBy(),
			r.GetText())
	}
}

// recall counts again what a host still runs that a backup does not know.
func (l *Ledger) recall(host string) {
	for token, p := range l.forgotten {
		if p.Host == host {
			l.open[token] = p
		}
	}
}

func (l *Ledger) grant(r *logpb.AuditRecord) {
	m := grantText.FindStringSubmatch(r.GetText())
	if m == nil || m[4] != r.GetBy() {
		l.complain("record %d is no grant: %s by %s", r.GetN(), r.GetText(), r.GetBy())
		return
	}
	n, _ := strconv.ParseUint(m[2], 10, 64)
	if n <= l.token {
		l.complain("permit %s was granted after number %d: tokens must rise", m[1], l.token)
	}
	l.token = max(l.token, n)
	p := Place{l.serviceOf(m[3]), r.GetBy()}
	for token, other := range l.open {
		if other == p {
			l.complain("permit %s was granted for %v, which permit %s had", m[1], p, token)
		}
	}
	for id, service := range l.paused {
		if service == p.Service {
			l.complain("permit %s was granted for %v, which was paused (%s)", m[1], p, id)
		}
	}
	l.open[m[1]] = p
	l.granted[p]++
	l.count(r, p.Service)
}

// count holds the open permits against the limits: max-unavailable.
func (l *Ledger) count(r *logpb.AuditRecord, service string) {
	var of, all []string
	for _, p := range l.open {
		if p.Service == service && !slices.Contains(of, p.Host) {
			of = append(of, p.Host)
		}
		if !slices.Contains(all, p.Host) {
			all = append(all, p.Host)
		}
	}
	if len(of) > l.limits.Cap {
		l.complain("record %d: %d hosts of %s are acting, and %d may be: %v", r.GetN(), len(of), service, l.limits.Cap, of)
	}
	if len(all) > l.limits.Fleet {
		l.complain("record %d: %d hosts are acting, and %d may be: %v", r.GetN(), len(all), l.limits.Fleet, all)
	}
}

func (l *Ledger) settle(r *logpb.AuditRecord) {
	m := settleText.FindStringSubmatch(r.GetText())
	switch {
	case m == nil:
		l.complain("record %d is no settlement by a host: %s by %s", r.GetN(), r.GetText(), r.GetBy())
	case l.open[m[1]].Host != r.GetBy():
		l.complain("%s settles permit %s, which it does not hold", r.GetBy(), m[1])
	default:
		l.settled[m[2]]++
		if m[2] == "unused" {
			l.granted[l.open[m[1]]]--
		}
		if m[2] != "unknown" { // which goes on counting
			delete(l.open, m[1])
		}
	}
}

// Holds reports whether the place has an open permit.
func (l *Ledger) Holds(p Place) bool {
	for _, other := range l.open {
		if other == p {
			return true
		}
	}
	return false
}

// Open are the tokens of open permits, in order.
func (l *Ledger) Open() []string {
	var out []string
	for token := range l.open {
		out = append(out, token)
	}
	slices.Sort(out)
	return out
}

// Granted is how many permits a place was given under which something may have been done: all but those that ended
// as unused.
func (l *Ledger) Granted(p Place) int { return l.granted[p] }

// Grants is how many permits there were altogether.
func (l *Ledger) Grants() int {
	n := l.settled["unused"]
	for _, m := range l.granted {
		n += m
	}
	return n
}

// Pauses is how many pauses of a service there were.
func (l *Ledger) Pauses() int { return l.pauses }

// Settled says how permits ended.
func (l *Ledger) Settled() map[string]int { return l.settled }

// Wrong is what must not have happened.
func (l *Ledger) Wrong() []string { return l.wrong }

func (l *Ledger) complain(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}
