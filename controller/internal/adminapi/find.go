package adminapi

import (
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// minPrefix is how much of an ID names it.
const minPrefix = 4

// findHost is the host that a person means: by ID, by name, by the beginning of the ID.
func findHost(st *state.State, said string) (*logpb.Host, error) {
	if _, err := name("host", said); err != nil {
		return nil, err
	}
	if h := st.Host(said); h != nil && !h.GetRemoved() {
		return h, nil
	}
	var named, begun []*logpb.Host
	for _, h := range st.Hosts() {
		switch {
		case h.GetRemoved():
		case h.GetName() == said:
			named = append(named, h)
		case len(said) >= minPrefix && strings.HasPrefix(h.GetId(), said):
			begun = append(begun, h)
		}
	}
	if len(named) == 0 {
		named = begun
	}
	switch len(named) {
	case 0:
		return nil, notFound("host %s not found", said)
	case 1:
		return named[0], nil
	}
	var ids []string
	for _, h := range named {
		ids = append(ids, h.GetId())
	}
	return nil, invalid("%q means several hosts: say one of the IDs %s", said, strings.Join(ids, ", "))
}

// findPermit is the open permit of a token whose generation may be cut short.
func findPermit(st *state.State, t *logpb.Token) (*logpb.Permit, error) {
	var found []*logpb.Permit
	for _, p := range st.Permits() {
		if p.GetToken().GetN() == t.GetN() && strings.HasPrefix(p.GetToken().GetGeneration(), t.GetGeneration()) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, notFound("there is no open permit %d@%.8s", t.GetN(), t.GetGeneration())
	case 1:
		return found[0], nil
	}
	return nil, invalid("%d open permits have the number %d: say more of the generation", len(found), t.GetN())
}

// Kinds of scopes.
const (
	scopeAll     = "all"
	scopeHost    = "host:"
	scopeService = "service:"
	scopeUnit    = "unit:"
)

// unitSuffixes are the unit types that a remedy can act on.
var unitSuffixes = []string{".service", ".socket", ".timer", ".mount", ".slice", ".scope", ".target", ".path", ".swap"}

// findScope turns what people say into the scope of a pause. A bare name with a unit's suffix is a unit;
// any other is the service or the host of that name. Scopes of nothing are refused: whoever mistypes a
// name must not believe that it is paused.
func findScope(st *state.State, said string) (string, error) {
	if _, err := name("scope", said); err != nil {
		return "", err
	}
	if _, _, ok := cutRule(said); ok {
		return "", invalid("%q is one rule of a service: resume takes that, and a pause is of a whole service, "+
			"a host, a unit, or all", said)
	}
	kind, rest, ok := strings.Cut(said, ":")
	switch {
	case said == scopeAll:
		return scopeAll, nil
	case ok && rest == "":
		return "", invalid("scope %q names nothing", said)
	case ok && kind+":" == scopeHost:
		h, err := findHost(st, rest)
		if err != nil {
			return "", err
		}
		return scopeHost + h.GetId(), nil
	case ok && kind+":" == scopeService:
		if !slices.ContainsFunc(serviceNames(st), func(s string) bool { return glob.Match(rest, s) }) {
			return "", notFound("service %s not found: no host has reported it, and no service block names it", rest)
		}
		return said, nil
	case ok && kind+":" == scopeUnit:
		return said, nil
	case ok:
		return "", invalid("scope %q: say all, host:NAME, service:NAME, or unit:NAME", said)
	}
	if slices.ContainsFunc(unitSuffixes, func(s string) bool { return strings.HasSuffix(said, s) }) {
		return scopeUnit + said, nil
	}
	return findBare(st, said)
}

// hostRules is how people write the service of rules about hosts.
const hostRules = "-"

// cutRule takes "service:NAME/RULE" apart, and NAME/RULE. No other scope has a slash in it but a unit's or a
// host's that says so.
func cutRule(said string) (service, rule string, ok bool) {
	rest, named := strings.CutPrefix(said, scopeService)
	if !named && strings.Contains(said, ":") {
		return "", "", false
	}
	service, rule, ok = strings.Cut(rest, "/")
	return service, rule, ok
}

// findRule is the scope of one rule of a service, for what failed there too often.
func findRule(st *state.State, service, rule string) (string, error) {
	switch {
	case rule == "":
		return "", invalid("%s/ names no rule", service)
	case service == hostRules:
		service = ""
	case service != "" && !slices.Contains(serviceNames(st), service):
		return "", notFound("service %s not found: no host has reported it, and no service block names it", service)
	}
	return scopeService + service + "/" + rule, nil
}

// findBare is the service or the host of a name, if it can only be one of them.
func findBare(st *state.State, said string) (string, error) {
	service := slices.Contains(serviceNames(st), said)
	h, err := findHost(st, said)
	switch {
	case service && h != nil:
		return "", invalid("%s is a service and a host: say service:%s or host:%s", said, said, said)
	case service:
		return scopeService + said, nil
	case h != nil:
		return scopeHost + h.GetId(), nil
	}
	if len(serviceNames(st)) == 0 && len(st.Hosts()) == 0 {
		return "", notFound("no service and no host is called %s: no host has said hello yet", said)
	}
	if status.Code(err) == codes.InvalidArgument { // several hosts
		return "", err
	}
	return "", notFound("no service and no host is called %s", said)
}

// findIncident is the incident that a person means: by a name that it has or had, the beginning of one, or
// the last one.
func findIncident(st *state.State, said string) (*logpb.Incident, error) {
	said = strings.ToLower(strings.TrimSpace(said))
	if said != "last" && (len(said) < minPrefix || len(said) > 32 || strings.Trim(said, "0123456789abcdef") != "") {
		return nil, invalid("incident ID %q is not valid: %d to 32 hex digits, or last", said, minPrefix)
	}
	i, err := st.Find(said)
	switch {
	case errors.Is(err, state.ErrAmbiguous):
		return nil, invalid("incident ID %q is ambiguous: %v", said, err)
	case err != nil && said == "last":
		return nil, notFound("there is no incident")
	case err != nil:
		return nil, notFound("incident %s not found", said)
	}
	return i, nil
}

// serviceNames are the services that hosts reported or that have a block, sorted.
func serviceNames(st *state.State) []string {
	var names []string
	for _, h := range st.Hosts() {
		if h.GetRemoved() {
			continue
		}
		for _, hs := range h.GetServices() {
			names = append(names, hs.GetService())
		}
	}
	for _, svc := range st.Config().GetServices() {
		names = append(names, svc.GetName())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// hostName is what people call a host.
func hostName(st *state.State, id string) string {
	if n := st.Host(id).GetName(); n != "" {
		return n
	}
	return id
}

func hostNames(st *state.State, ids []string) []string {
	var names []string
	for _, id := range ids {
		names = append(names, hostName(st, id))
	}
	return names
}

// names are the names of hosts, for whoever reads their IDs.
func names(st *state.State, ids ...string) []*adminpb.HostName {
	slices.Sort(ids)
	var out []*adminpb.HostName
	for _, id := range slices.Compact(ids) {
		if h := st.Host(id); h != nil {
			out = append(out, &adminpb.HostName{Id: id, Name: h.GetName()})
		}
	}
	return out
}

// scopeHosts are the hosts that scopes name.
func scopeHosts(pauses ...*logpb.Pause) []string {
	var ids []string
	for _, p := range pauses {
		if id, ok := strings.CutPrefix(p.GetScope(), scopeHost); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
