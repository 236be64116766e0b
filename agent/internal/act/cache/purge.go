package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/web"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// pages are the declared ones of a cache that forgets by HTTP.
type pages struct {
	Base   string `json:"base"` // http://host:port
	Host   string `json:"host,omitempty"`
	Method string `json:"method"`
	Count  int    `json:"count"` // before: that are to go; after: that it was asked for
	paths  []string
}

func purged(c *config.Cache) *pages {
	return &pages{Base: c.Purge, Host: c.Host, Method: c.Method, paths: c.Paths}
}

// most bytes of an answer that are read.
const mostAnswer = 64 << 10

// check implements source.
func (p *pages) check(ctx context.Context, s *kind.Step, _ string) error {
	a := argsOf(s.Request)
	if a.AtOnce {
		return kind.Refuse("pages go one by one: at_once is for Redis and memcached")
	}
	p.paths = slices.DeleteFunc(slices.Clone(p.paths), func(path string) bool { return !strings.HasPrefix(path, a.Prefix) })
	if p.Count = len(p.paths); p.Count == 0 {
		return kind.Refuse("no path that cache %s declares begins with %q", s.Target, a.Prefix)
	}
	u, err := url.Parse(p.Base)
	if err != nil {
		return kind.Refuse("%s is no URL", p.Base)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := web.Listens(ctx, u); err != nil {
		return kind.Unknown("the state of cache "+s.Target, err)
	}
	for _, path := range p.paths {
		s.Detail = append(s.Detail, p.Method+" "+p.Base+path)
	}
	return nil
}

// clear implements source.
func (p *pages) clear(ctx context.Context, r *run) (evidence, error) {
	asked := &pages{Base: p.Base, Host: p.Host, Method: p.Method}
	client := web.Client()
	defer client.CloseIdleConnections()
	var err error
	for _, path := range p.paths {
		var removed int
		if removed, err = p.purge(ctx, client, path); err != nil {
			break
		}
		asked.Count++
		if err = r.next(ctx, removed); err != nil {
			break
		}
	}
	return evidence{Purge: asked}, r.ended(err)
}

// purge asks for one page to be forgotten. It gives 0 of what was not in the cache.
func (p *pages) purge(ctx context.Context, client *http.Client, path string) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, p.Method, p.Base+path, nil)
	if err != nil {
		return 0, err
	}
	q.Host = p.Host // "": that of the URL
	answer, err := web.Send(client, q)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, mostAnswer)
	switch code := answer.StatusCode; {
	case code >= 200 && code <= 299:
		return 1, nil
	case code == http.StatusNotFound || code == http.StatusPreconditionFailed:
		return 0, nil
	}
	return 0, fmt.Errorf("%s %s is refused: %.100q", p.Method, path, answer.Status)
}

// settle implements source.
func (*pages) settle(context.Context, string) (incident.Phase, string) {
	return incident.Unknown, "the server does not tell what it was asked to forget"
}
