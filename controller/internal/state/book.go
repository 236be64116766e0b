package state

import "github.com/salveops/salve/proto/logpb"

// book are the indices of alerts, incidents and messages. Whoever changes a record takes it out first and
// puts it back afterwards, see amend and redo; so the indices cannot go stale.
type book struct {
	ongoing map[string]map[string]*logpb.Incident      // service → its open incidents; "" those of no service
	members map[string]map[alertKey]*logpb.Alert       // incident → its alerts
	fires   map[string]int                             // incident → how many of them fire
	sick    map[string]map[string]int                  // service → incident → how many alerts of it fire there
	locals  map[local]map[alertKey]*logpb.Alert        // the incident of an agent → its alerts
	live    map[string]map[alertKey]*logpb.Alert       // host → what fires there, or what it thinks that fires
	hot     map[place]map[alertKey]*logpb.Alert        // what counts for a breaker
	mail    map[string]map[deliveryKey]*logpb.Delivery // incident → its messages
	waiting map[deliveryKey]*logpb.Delivery            // messages that have not come to an end
	graph   graph
}

// local is an incident by the name that an agent gave it.
type local struct{ host, name string }

// place is a rule of a service on a host.
type place struct{ service, rule, host string }

func newBook() book {
	return book{
		ongoing: map[string]map[string]*logpb.Incident{}, members: map[string]map[alertKey]*logpb.Alert{},
		fires: map[string]int{}, sick: map[string]map[string]int{}, locals: map[local]map[alertKey]*logpb.Alert{},
		live: map[string]map[alertKey]*logpb.Alert{}, hot: map[place]map[alertKey]*logpb.Alert{},
		mail: map[string]map[deliveryKey]*logpb.Delivery{}, waiting: map[deliveryKey]*logpb.Delivery{},
		graph: newGraph(),
	}
}

func keyOf(k *logpb.AlertKey) alertKey { return alertKey{k.GetHost(), k.GetStream(), k.GetN()} }

func deliveryOf(d *logpb.Delivery) deliveryKey { return deliveryKey{d.GetKey(), d.GetNotifier()} }

// into and outOf keep a table of tables without empty ones.
func into[K, L comparable, V any](m map[K]map[L]V, k K, l L, v V) {
	if m[k] == nil {
		m[k] = map[L]V{}
	}
	m[k][l] = v
}

func outOf[K, L comparable, V any](m map[K]map[L]V, k K, l L) {
	delete(m[k], l)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

// file enters an alert.
func (d *derived) file(a *logpb.Alert) {
	k := keyOf(a.GetKey())
	into(d.members, a.GetIncident(), k, a)
	if a.GetLocal() != "" {
		into(d.locals, local{k.host, a.GetLocal()}, k, a)
	}
	if a.GetResolved() == 0 || a.GetClosed() {
		into(d.live, k.host, k, a)
	}
	if a.GetResolved() != 0 {
		return
	}
	d.fires[a.GetIncident()]++
	if ails(a) {
		more(d.sick, a.GetService(), a.GetIncident())
	}
	if !a.GetBlind() {
		at := placeOf(a)
		into(d.hot, at, k, a)
		d.heat(at)
	}
}

// unfile takes an alert out.
func (d *derived) unfile(a *logpb.Alert) {
	k := keyOf(a.GetKey())
	outOf(d.members, a.GetIncident(), k)
	outOf(d.locals, local{k.host, a.GetLocal()}, k)
	outOf(d.live, k.host, k)
	if a.GetResolved() != 0 {
		return
	}
	if d.fires[a.GetIncident()]--; d.fires[a.GetIncident()] == 0 {
		delete(d.fires, a.GetIncident())
	}
	if ails(a) {
		less(d.sick, a.GetService(), a.GetIncident())
	}
	if !a.GetBlind() {
		at := placeOf(a)
		outOf(d.hot, at, k)
		d.heat(at)
	}
}

// ails reports whether an alert says that its service is not well. What the controller says of a permit does
// not: other hosts serve.
func ails(a *logpb.Alert) bool { return a.GetService() != "" && !synthetic(a) }

func placeOf(a *logpb.Alert) place { return place{a.GetService(), a.GetRule(), a.GetKey().GetHost()} }

// heat counts anew since when a rule fires on a host: since its oldest firing, and for ever if a person has
// closed the breaker over that.
func (d *derived) heat(at place) {
	key := ruleKey{at.service, at.rule}
	outOf(d.firing, key, at.host)
	for _, a := range d.hot[at] {
		fired := a.GetFired()
		if a.GetSeen() {
			fired = 0
		}
		if since, ok := d.firing[key][at.host]; !ok || fired < since {
			into(d.firing, key, at.host, fired)
		}
	}
}

// list enters an incident.
func (d *derived) list(i *logpb.Incident) {
	if i.GetState() != logpb.IncidentState_INCIDENT_STATE_RESOLVED {
		into(d.ongoing, i.GetService(), i.GetId(), i)
	}
}

// post enters a message.
func (d *derived) post(m *logpb.Delivery) {
	k := deliveryOf(m)
	into(d.mail, m.GetIncident(), k, m)
	if !over(m) {
		d.waiting[k] = m
	}
}

// unpost takes a message out.
func (d *derived) unpost(m *logpb.Delivery) {
	k := deliveryOf(m)
	outOf(d.mail, m.GetIncident(), k)
	delete(d.waiting, k)
}

// over reports whether a message has come to its end.
func over(m *logpb.Delivery) bool {
	return m.GetState() == logpb.DeliveryState_DELIVERY_STATE_TOLD ||
		m.GetState() == logpb.DeliveryState_DELIVERY_STATE_REFUSED
}

// amend changes an alert.
func (s *State) amend(a *logpb.Alert, change func(a *logpb.Alert)) {
	s.derived.unfile(a)
	change(a)
	s.derived.file(a)
}

// redo changes a message.
func (s *State) redo(m *logpb.Delivery, change func(m *logpb.Delivery)) {
	s.derived.unpost(m)
	change(m)
	s.derived.post(m)
}

// scrap forgets a message.
func (s *State) scrap(m *logpb.Delivery) {
	s.derived.unpost(m)
	delete(s.deliveries, deliveryOf(m))
}

// drop of alerts is in prune.go; compareKeys orders them.
func compareKeys(a, b alertKey) int {
	if c := compare(a.host, b.host); c != 0 {
		return c
	}
	if c := compare(a.stream, b.stream); c != 0 {
		return c
	}
	return compareNumbers(a.n, b.n)
}

func compareDeliveries(a, b deliveryKey) int {
	if c := compare(a.key, b.key); c != 0 {
		return c
	}
	return compare(a.notifier, b.notifier)
}
