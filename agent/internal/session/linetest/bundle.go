package linetest

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/bundle"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// delivered is a bundle that every host has to run.
type delivered struct {
	order *agentpb.BundleOrder
	files []*logpb.BundleFile
}

// Deliver has every host run a bundle of these files, in place of what it was before; without files none. Nothing is
// checked: this may be a hostile node.
func (s *Server) Deliver(name string, version uint64, files ...bundle.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundles = slices.DeleteFunc(slices.Clone(s.bundles), func(d delivered) bool { return d.order.GetName() == name })
	if len(files) > 0 {
		sum := bundle.Sum(files)
		d := delivered{order: &agentpb.BundleOrder{Name: name, Version: version, Digest: sum[:]}}
		for _, f := range files {
			d.files = append(d.files, &logpb.BundleFile{Name: f.Name, Text: f.Text})
		}
		s.bundles = append(s.bundles, d)
	}
	s.bind()
}

// Forge changes the files of every bundle behind the back of their digests.
func (s *Server) Forge(change func([]*logpb.BundleFile)) {
	s.set(func() {
		for _, d := range s.bundles {
			change(d.files)
		}
	})
}

// Report is what a host said last of its bundles in the session that is open.
func (s *Server) Report(host string) []*logpb.HostBundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hosts[host]; h != nil {
		return h.bundles
	}
	return nil
}

// report takes what a host says of its bundles.
func (s *Server) report(st *stream, c *logpb.ReportBundles) {
	if c.GetHost() != st.host.id || c.GetEpoch() != st.epoch {
		s.flaw("a report for another session: %v", c)
	}
	st.host.bundles = c.GetBundles()
}

// Bundle implements session.Line.
func (p *pipe) Bundle(_ context.Context, r *agentpb.BundleRequest) (*agentpb.BundleResponse, error) {
	return p.server.bundle(r)
}

// Bundle implements agentpb.LineServer.
func (v service) Bundle(_ context.Context, r *agentpb.BundleRequest) (*agentpb.BundleResponse, error) {
	return v.server.bundle(r)
}

func (s *Server) bundle(r *agentpb.BundleRequest) (*agentpb.BundleResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts[r.GetHost()] == nil || s.down {
		return nil, errors.New("this host has no session")
	}
	for _, d := range s.bundles {
		if d.order.GetName() == r.GetName() && string(d.order.GetDigest()) == string(r.GetDigest()) {
			return proto.CloneOf(&agentpb.BundleResponse{Files: d.files}), nil
		}
	}
	return nil, errors.New("this host is not told to run that version")
}
