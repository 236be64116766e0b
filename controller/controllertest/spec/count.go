package spec

import (
	"fmt"
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// hostsOf are the hosts that reported the service and are not removed; lost ones stay.
func (t *Table) hostsOf(service string) []string {
	var out []string
	for id, h := range t.Hosts {
		if _, ok := h.Services[service]; ok && !h.Removed {
			out = append(out, id)
		}
	}
	return out
}

// Cap is how many hosts of a service may be acting at once.
func (t *Table) Cap(service string) int {
	n := len(t.hostsOf(service))
	most := 1
	if b := t.Services[service]; b != nil && b.MaxUnavailableShare != nil {
		most = 0
		for (most+1)*1_000_000 <= int(b.GetMaxUnavailableShare())*n { // so many whole hosts are in the share
			most++
		}
		if most == 0 {
			most = 1
		}
	} else if b != nil && b.MaxUnavailable != nil {
		most = int(b.GetMaxUnavailable())
	}
	if n > 1 && most > n-1 {
		most = n - 1
	}
	return most
}

// Fleet is how many hosts may be acting over all services.
func (t *Table) Fleet() int {
	if t.FleetMax > 0 {
		return int(t.FleetMax)
	}
	n := 0
	for _, h := range t.Hosts {
		if !h.Removed {
			n++
		}
	}
	if n/10 > 3 {
		return n / 10
	}
	return 3
}

// Acting reports whether the host may be out of the service by Salve's doing.
func (t *Table) Acting(service, host string) bool {
	return t.takenBy(Target{Service: service, Host: host}) != nil || t.alone(service, host)
}

// takenBy is the open permit of a target, nil if there is none.
func (t *Table) takenBy(target Target) *Permit {
	for _, p := range t.Permits {
		for _, x := range p.Targets {
			if x == target {
				return p
			}
		}
	}
	return nil
}

// alone reports whether the host may act on the service without a permit.
func (t *Table) alone(service, host string) bool {
	h := t.Hosts[host]
	s, ok := h.Services[service]
	return ok && !h.Removed && (s.Sole == logpb.Sole_SOLE_WITHDRAWN ||
		h.Lost && (s.Sole == logpb.Sole_SOLE_GRANTED || t.Services[service].GetAloneAct()))
}

// Out reports whether the host is acting, or is not known to serve.
func (t *Table) Out(service, host string) bool {
	h := t.Hosts[host]
	return t.Acting(service, host) || h.Lost || h.Awaited || h.Quarantined ||
		h.Services[service].Serving != logpb.Serving_SERVING_YES
}

// down reports whether acting on the host takes nothing away, by what the log says.
func (t *Table) down(service, host string) bool {
	h := t.Hosts[host]
	return !h.Lost && !h.Awaited && h.Services[service].Serving == logpb.Serving_SERVING_DOWN
}

// fits gives the reason why these hosts must not be taken away from the service together.
func (t *Table) fits(service string, these []string) string {
	most, acting, out, serves := t.Cap(service), len(these), len(these), false
	for _, id := range t.hostsOf(service) {
		switch {
		case slices.Contains(these, id):
			serves = serves || !t.down(service, id)
			continue
		case t.Acting(service, id):
			acting++
		}
		if t.Out(service, id) {
			out++
		}
	}
	switch {
	case acting > most:
		return fmt.Sprintf("%d hosts of %s would be acting, the cap is %d", acting, service, most)
	case out > most && serves:
		return fmt.Sprintf("%d hosts of %s would be out, the cap is %d", out, service, most)
	}
	return ""
}

// last gives the reason why these hosts, of which one may serve, must not go down together: nobody else would serve.
func (t *Table) last(service string, these []string) string {
	serves := false
	for _, id := range t.hostsOf(service) {
		switch {
		case slices.Contains(these, id):
			serves = serves || !t.down(service, id)
		case !t.Out(service, id):
			return ""
		}
	}
	if serves {
		return "nobody else serves " + service
	}
	return ""
}

// fleet gives the reason why these hosts must not be acting beside those that are. What a permit of another
// host takes away counts until that is settled, also if its host was struck off meanwhile.
func (t *Table) fleet(hosts map[string]bool) string {
	n := len(hosts)
	for id := range t.Hosts {
		if hosts[id] {
			continue
		}
		for service := range t.everyService() {
			if t.Acting(service, id) {
				n++
				break
			}
		}
	}
	if n > t.Fleet() {
		return fmt.Sprintf("%d hosts would be acting, fleet_max is %d", n, t.Fleet())
	}
	return ""
}

// everyService are all that any host reports or any permit takes away.
func (t *Table) everyService() map[string]bool {
	all := map[string]bool{}
	for _, h := range t.Hosts {
		for s := range h.Services {
			all[s] = true
		}
	}
	for _, p := range t.Permits {
		for _, x := range p.Targets {
			all[x.Service] = true
		}
	}
	return all
}
