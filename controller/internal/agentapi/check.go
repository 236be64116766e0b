package agentapi

import (
	"errors"
	"fmt"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of what an agent says. A message as a whole is bounded by gRPC.
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
	maxCount    = 10_000 // events in one message
)

// errNotYours says that a session speaks for another one.
var errNotYours = errors.New("host and epoch of the message are not those of the session")

// names reports a name that is too long.
func names(list ...string) error {
	for _, s := range list {
		if len(s) > maxName {
			return fmt.Errorf("a name of %d bytes; at most %d are taken", len(s), maxName)
		}
	}
	return nil
}

// few reports a list that is too long.
func few(what string, n, most int) error {
	if n > most {
		return fmt.Errorf("%d %s; at most %d are taken", n, what, most)
	}
	return nil
}

func checkHello(c *logpb.Hello) error {
	if c.GetHost() == "" || c.GetNonce() == "" {
		return errors.New("a hello needs the host's ID and a nonce")
	}
	errs := []error{
		names(c.GetHost(), c.GetName(), c.GetFingerprint(), c.GetBootId(), c.GetNonce(), c.GetStream(), c.GetGeneration(),
			c.GetVersion()),
		few("services", len(c.GetServices()), maxServices), few("attempts", len(c.GetRunning()), maxRunning),
		few("labels", len(c.GetLabels()), maxLabels), checkReports(c.GetServices()),
	}
	for _, l := range c.GetLabels() {
		errs = append(errs, names(l.GetName(), l.GetValue()))
	}
	for _, r := range c.GetRunning() {
		errs = append(errs, names(r.GetIncident(), r.GetRemedy(), r.GetRule(), r.GetToken().GetGeneration()),
			checkTargets(r.GetTargets()), few("bytes of a digest", len(r.GetDigest()), maxDigest))
	}
	return errors.Join(errs...)
}

func checkReports(list []*logpb.ServiceReport) error {
	for _, r := range list {
		err := errors.Join(names(r.GetService(), r.GetTier()), names(r.GetDependsOn()...),
			few("dependencies", len(r.GetDependsOn()), maxDepends))
		switch {
		case err != nil:
			return err
		case r.GetService() == "":
			return errors.New("a service without a name")
		case r.GetDetection() < 0:
			return errors.New("a service that is noticed before it fails")
		}
	}
	return nil
}

func checkTargets(list []*logpb.Target) error {
	if err := few("targets", len(list), maxTargets); err != nil {
		return err
	}
	for _, t := range list {
		if err := names(t.GetService(), t.GetHost(), t.GetResource()); err != nil {
			return err
		}
	}
	return nil
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
		return names(what.Confirm.GetGeneration())
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
	return errors.Join(names(c.GetStream()), few("events", len(c.GetEvent()), maxCount))
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
		if err := names(e.GetService()); err != nil {
			return err
		}
	}
	return few("edges", len(c.GetEdge()), maxEdges)
}

func checkRequest(x *session, c *logpb.Request) error {
	if c.GetHost() != x.host || c.GetEpoch() != x.epoch {
		return errNotYours
	}
	return errors.Join(
		names(c.GetIncident(), c.GetRule(), c.GetRemedy(), c.GetBy(), c.GetService(), c.GetUnit()),
		few("bytes of a digest", len(c.GetDigest()), maxDigest), checkTargets(c.GetTargets()),
		few("claims", len(c.GetClaims()), maxServices), checkReports(c.GetClaims()),
	)
}

func checkSettle(x *session, c *logpb.Settle) error {
	if c.GetHost() != x.host || c.GetSessionEpoch() != x.epoch {
		return errNotYours
	}
	return errors.Join(
		names(c.GetToken().GetGeneration()), few("bytes of a reason", len(c.GetReason()), maxText),
		few("claims", len(c.GetClaims()), maxServices), checkReports(c.GetClaims()),
	)
}
