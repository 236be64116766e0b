package scalegroup

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/salveops/salve/agent/internal/act/web"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/remedy"
)

// group is how the count of a group is read and set. It holds no secret.
type group struct {
	Read    config.Call `json:"read"`
	Count   string      `json:"count"`
	Version string      `json:"version,omitempty"`
	Set     config.Call `json:"set"`
}

func of(g *config.Group) group {
	return group{Read: g.Read(), Count: g.Count, Version: g.Version, Set: g.Set}
}

// state is a group as it was read.
type state struct {
	count   int
	version string // as JSON; "": the group has none
	etag    string // a strong one; "": there is none
}

// mostCount is more than any group has. A larger number is a mistake.
const mostCount = 1_000_000

// read asks for the count. An answer that is lost is no kind.ErrLost here: nothing was to be done.
func (g group) read(ctx context.Context) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, web.Patience)
	defer cancel()
	answer, err := web.Ask(ctx, g.Read, http.Header{"Accept": {"application/json"}})
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("the server says %s", answer.Says())
	}
	var document any
	if err == nil {
		document, err = answer.Document()
	}
	if err != nil {
		return state{}, fmt.Errorf("read the count: %v", err)
	}
	var now state
	if now.count, err = countIn(document, g.Count); err != nil {
		return state{}, err
	}
	if g.Version != "" {
		if now.version, err = versionIn(document, g.Version); err != nil {
			return state{}, err
		}
	}
	// A weak one means less than what If-Match asks, and one of another page means something else.
	if tag := answer.Header.Get("ETag"); strings.HasPrefix(tag, `"`) && g.Set.URL == g.Read.URL {
		now.etag = tag
	}
	return now, nil
}

func countIn(document any, path string) (int, error) {
	p, err := jsonpath.Parse(path)
	if err != nil {
		return 0, err
	}
	n, err := p.Number(document)
	switch {
	case err != nil:
		return 0, err
	case n != math.Trunc(n) || n < 0 || n > mostCount:
		return 0, fmt.Errorf("%s is %v, which is no count", p, n)
	}
	return int(n), nil
}

// longestVersion bounds a version, in bytes.
const longestVersion = 256

func versionIn(document any, path string) (string, error) {
	p, err := jsonpath.Parse(path)
	if err != nil {
		return "", err
	}
	version, err := p.Scalar(document)
	if err == nil && len(version) > longestVersion {
		err = fmt.Errorf("%s has more than %d bytes", p, longestVersion)
	}
	return version, err
}

// set asks for a count, once. Errors: those of web.Ask, and what the server says when it refuses.
func (g group) set(ctx context.Context, count int, was state) error {
	ctx, cancel := context.WithTimeout(ctx, web.Patience)
	defer cancel()
	facts := map[string]string{config.FactCount: strconv.Itoa(count), config.FactVersion: was.version}
	c := g.Set
	for _, part := range []*string{&c.URL, &c.Body} {
		var err error
		if *part, err = remedy.Fill(*part, facts); err != nil {
			return err
		}
	}
	header := http.Header{}
	if was.etag != "" {
		header.Set("If-Match", was.etag)
	}
	answer, err := web.Ask(ctx, c, header)
	switch {
	case err != nil:
		return err
	case answer.Status == http.StatusConflict || answer.Status == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: somebody else changes the group at the same moment", answer.Err())
	}
	return answer.Err()
}
