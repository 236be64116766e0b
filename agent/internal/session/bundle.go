package session

import (
	"context"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// bundles is what the node has to know of the bundles of rules on this host.
type bundles struct {
	report  []*logpb.HostBundle
	version int // of the report, 0: there never was one
}

// Fetch gets the files of a bundle that stands in the orders. Whether they are the right ones, the caller checks.
func (s *Session) Fetch(ctx context.Context, o *agentpb.BundleOrder) ([]*logpb.BundleFile, error) {
	line, err := s.established()
	if err != nil {
		return nil, err
	}
	r, err := line.Bundle(ctx, &agentpb.BundleRequest{Host: s.o.Host, Name: o.GetName(), Digest: o.GetDigest()})
	return r.GetFiles(), err
}

// Report says all that there is to say of bundles, each time that something has changed. The session keeps it, and says
// it anew to each node.
func (s *Session) Report(all []*logpb.HostBundle) {
	s.mu.Lock()
	s.bundles.report = all
	s.bundles.version++
	s.mu.Unlock()
	poke(s.wake)
}

// news is the report if this session has not told it. The caller holds mu.
func (x *session) news() *logpb.ReportBundles {
	if x.reported == x.bundles.version {
		return nil
	}
	x.reported = x.bundles.version
	return &logpb.ReportBundles{Host: x.o.Host, Epoch: x.epoch, Bundles: x.bundles.report}
}
