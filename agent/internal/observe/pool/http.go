package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/salveops/salve/pkg/jsonpath"
)

// documentMost bounds a JSON document.
const documentMost = 256 << 10

// document asks a URL for JSON, in which the figures are found by paths.
type document struct {
	url    string
	paths  map[string]jsonpath.Path
	client *http.Client
}

func newDocument(url string, fields map[string]string) (*document, error) {
	d := &document{url: url, paths: map[string]jsonpath.Path{}}
	for name, text := range fields {
		path, err := jsonpath.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read path of %s: %w", name, err)
		}
		d.paths[name] = path
	}
	d.client = &http.Client{
		Transport: &http.Transport{
			MaxIdleConns: 1, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, ReadBufferSize: 4 << 10,
			WriteBufferSize: 1 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return d, nil
}

func (d *document) ask(ctx context.Context) (reading, error) {
	raw, err := d.fetch(ctx)
	if err != nil {
		return nil, err
	}
	return parseDocument(raw, d.paths)
}

func (d *document) fetch(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", "salve")
	req.Header.Set("Accept", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask: status %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, documentMost+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(raw) > documentMost {
		return nil, fmt.Errorf("read answer: it has more than %d bytes", documentMost)
	}
	return raw, nil
}

// parseDocument finds every figure, or says which one is not there. What is negative is none.
func parseDocument(raw []byte, paths map[string]jsonpath.Path) (reading, error) {
	doc, err := jsonpath.Decode(raw)
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	for name, path := range paths {
		v, err := path.Number(doc)
		if err == nil && v < 0 {
			err = fmt.Errorf("%s is negative", path)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		found[name] = v
	}
	r := reading{}
	for name, v := range found {
		switch name {
		case "size":
			if ratio, known := share(found["active"], v); known {
				r["used_ratio"] = ratio
			}
		case "max_wait_ms":
			r["max_wait"] = v / 1000
		case "used_ratio":
			if v > 1 {
				return nil, errors.New("read used_ratio: it is a share, from 0 to 1")
			}
			r[name] = v
		default:
			r[name] = v
		}
	}
	return r, nil
}

func (d *document) close() { d.client.CloseIdleConnections() }
