package agentapi

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of what an agent says. A refusal names the field. Texts of events have no bound of their own but the
// event's: the state machine keeps the beginning of a long one, for an alert must not be lost over it.
const (
	maxName     = 256 // bytes of a name, an ID, a stream, a nonce
	maxText     = 4 << 10
	maxServices = 1000
	maxDepends  = 100
	maxRunning  = 1000
	maxLabels   = 64
	maxTargets  = 1000
	maxDigest   = 64
	maxEdges    = 1000
	maxCount    = 10_000             // events in one message
	maxItems    = 1000               // values, fields, pieces of evidence, notifiers of one event
	maxMessage  = 256<<10 - 1<<10    // bytes of what becomes one command: an entry of the log has 256 KiB
	maxEvent    = maxMessage - 1<<10 // bytes of one event
)

// errNotYours says that a session speaks for another one.
var errNotYours = errors.New("host and epoch of the message are not those of the session")

// names reports the first name that is too long. The list has a field, what is in it, and so on.
func names(list ...string) error {
	for i := 0; i+1 < len(list); i += 2 {
		if n := len(list[i+1]); n > maxName {
			return fmt.Errorf("%s has %d bytes; at most %d are taken", list[i], n, maxName)
		}
	}
	return nil
}

// few reports a field of which there is too much.
func few(field, unit string, n, most int) error {
	if n > most {
		return fmt.Errorf("%s has %d %s; at most %d are taken", field, n, unit, most)
	}
	return nil
}

// of puts the message before a field.
func of(message string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%w", message, err)
}

// each checks the items of a list, at most so many.
func each[T any](field string, list []T, most int, check func(T) error) error {
	if err := few(field, "items", len(list), most); err != nil {
		return err
	}
	for i, item := range list {
		if err := check(item); err != nil {
			return fmt.Errorf("%s[%d].%w", field, i, err)
		}
	}
	return nil
}

// eachName is each for a list of names.
func eachName(field string, list []string, most int) error {
	if err := few(field, "items", len(list), most); err != nil {
		return err
	}
	for i, name := range list {
		if n := len(name); n > maxName {
			return fmt.Errorf("%s[%d] has %d bytes; at most %d are taken", field, i, n, maxName)
		}
	}
	return nil
}

// firstOf is the first error of several checks.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkHello(c *logpb.Hello) error {
	if c.GetHost() == "" || c.GetNonce() == "" {
		return errors.New("a hello needs the host's ID and a nonce")
	}
	return firstOf(few("hello", "bytes", proto.Size(c), maxMessage), of("hello", firstOf(
		names("host", c.GetHost(), "name", c.GetName(), "fingerprint", c.GetFingerprint(), "boot_id", c.GetBootId(),
			"nonce", c.GetNonce(), "stream", c.GetStream(), "generation", c.GetGeneration(), "version", c.GetVersion()),
		each("services", c.GetServices(), maxServices, checkReport),
		each("running", c.GetRunning(), maxRunning, checkRunning),
		each("labels", c.GetLabels(), maxLabels, func(l *logpb.Label) error {
			return names("name", l.GetName(), "value", l.GetValue())
		}),
	)))
}

func checkRunning(r *logpb.Running) error {
	return firstOf(
		names("incident", r.GetIncident(), "remedy", r.GetRemedy(), "rule", r.GetRule(),
			"token.generation", r.GetToken().GetGeneration()),
		each("targets", r.GetTargets(), maxTargets, checkTarget), few("digest", "bytes", len(r.GetDigest()), maxDigest),
	)
}

func checkReport(r *logpb.ServiceReport) error {
	err := firstOf(names("service", r.GetService(), "tier", r.GetTier()),
		eachName("depends_on", r.GetDependsOn(), maxDepends))
	switch {
	case err != nil:
		return err
	case r.GetService() == "":
		return errors.New("service is empty")
	case r.GetDetection() < 0:
		return errors.New("detection is negative: a service is not noticed before it fails")
	}
	return nil
}

func checkTarget(t *logpb.Target) error {
	return names("service", t.GetService(), "host", t.GetHost(), "resource", t.GetResource())
}

// checkMessage keeps a session to its own host and epoch, and to bounds.
func checkMessage(x *session, m *agentpb.ConnectRequest) error {
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectRequest_Hello:
		return errors.New("a session has one hello")
	case *agentpb.ConnectRequest_Events:
		return checkEvents(x, what.Events)
	case *agentpb.ConnectRequest_Edges:
		return checkEdges(x, what.Edges)
	case *agentpb.ConnectRequest_Request:
		return checkRequest(x, what.Request)
	case *agentpb.ConnectRequest_Settle:
		return checkSettle(x, what.Settle)
	case *agentpb.ConnectRequest_Confirm:
		if c := what.Confirm; c.GetHost() != x.host || c.GetEpoch() != x.epoch {
			return errNotYours
		}
		return of("confirm", names("generation", what.Confirm.GetGeneration()))
	case *agentpb.ConnectRequest_Bundles:
		return checkBundles(x, what.Bundles)
	}
	return nil
}

func checkEvents(x *session, c *logpb.Events) error {
	if c.GetHost() != x.host || c.GetEpoch() != x.epoch {
		return errNotYours
	}
	for _, e := range c.GetEvent() { // an alert is the sender's own
		for _, k := range []*logpb.AlertKey{e.GetFired().GetKey(), e.GetResolved().GetKey()} {
			if k != nil && k.GetHost() != x.host {
				return errNotYours
			}
		}
	}
	for i, e := range c.GetEvent() {
		if n := proto.Size(e); n > maxEvent {
			return fmt.Errorf("events.event[%d] has %d bytes; at most %d are taken", i, n, maxEvent)
		}
	}
	return of("events", firstOf(names("stream", c.GetStream()), each("event", c.GetEvent(), maxCount, checkEvent)))
}

// checkEvent bounds one event. Its names are the agent's own and never that long; see maxName.
func checkEvent(e *logpb.Event) error {
	switch what := e.GetWhat().(type) {
	case *logpb.Event_Fired:
		return of("fired", checkAlert(what.Fired))
	case *logpb.Event_Resolved:
		return of("resolved.key", names("stream", what.Resolved.GetKey().GetStream()))
	case *logpb.Event_Story:
		return of("story", checkStory(what.Story))
	case *logpb.Event_HandOver:
		return of("hand_over", names("local", what.HandOver.GetLocal()))
	case *logpb.Event_Page:
		return of("page", firstOf(names("local", what.Page.GetLocal(), "key", what.Page.GetKey()),
			eachName("notifiers", what.Page.GetNotifiers(), maxItems)))
	case *logpb.Event_Change:
		x := what.Change.GetChange()
		return of("change", names("local", what.Change.GetLocal(), "change.service", x.GetService(), "change.kind", x.GetKind(),
			"change.by", x.GetBy()))
	}
	return nil
}

func checkAlert(a *logpb.Alert) error {
	return firstOf(
		names("key.stream", a.GetKey().GetStream(), "rule", a.GetRule(), "service", a.GetService(),
			"severity", a.GetSeverity(), "local", a.GetLocal(), "escalation", a.GetEscalation()),
		few("values", "items", len(a.GetValues()), maxItems),
	)
}

func checkStory(c *logpb.Story) error {
	o := c.GetOutcome()
	return firstOf(
		names("local", c.GetLocal(), "event.type", c.GetEvent().GetType(), "outcome.service", o.GetService(),
			"outcome.rule", o.GetRule(), "outcome.remedy", o.GetRemedy()),
		each("event.fields", c.GetEvent().GetFields(), maxItems, func(l *logpb.Label) error {
			return names("name", l.GetName())
		}),
		each("evidence", c.GetEvidence(), maxItems, func(r *logpb.EvidenceRef) error {
			return few("digest", "bytes", len(r.GetDigest()), maxDigest)
		}),
	)
}

// checkEdges takes what a host says about its own services. Who is lost is the leader's word.
func checkEdges(x *session, c *logpb.Edges) error {
	for _, e := range c.GetEdge() {
		switch {
		case e.GetHost() != x.host || e.GetEpoch() != x.epoch:
			return errNotYours
		case e.GetLost() || e.GetService() == "":
			return errors.New("an agent speaks of services only; who is lost, the leader says")
		}
	}
	return firstOf(few("edges", "bytes", proto.Size(c), maxMessage),
		of("edges", each("edge", c.GetEdge(), maxEdges, func(e *logpb.Edge) error {
			return names("service", e.GetService())
		})))
}

func checkRequest(x *session, c *logpb.Request) error {
	if c.GetHost() != x.host || c.GetEpoch() != x.epoch {
		return errNotYours
	}
	return firstOf(few("request", "bytes", proto.Size(c), maxMessage), of("request", firstOf(
		names("incident", c.GetIncident(), "rule", c.GetRule(), "remedy", c.GetRemedy(), "by", c.GetBy(),
			"service", c.GetService(), "unit", c.GetUnit()),
		few("digest", "bytes", len(c.GetDigest()), maxDigest), each("targets", c.GetTargets(), maxTargets, checkTarget),
		each("claims", c.GetClaims(), maxServices, checkReport),
	)))
}

func checkSettle(x *session, c *logpb.Settle) error {
	if c.GetHost() != x.host || c.GetSessionEpoch() != x.epoch {
		return errNotYours
	}
	return firstOf(few("settle", "bytes", proto.Size(c), maxMessage), of("settle", firstOf(
		names("token.generation", c.GetToken().GetGeneration()), few("reason", "bytes", len(c.GetReason()), maxText),
		each("claims", c.GetClaims(), maxServices, checkReport),
	)))
}
