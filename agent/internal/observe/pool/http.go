package pool

import (
	"context"
	"errors"
	"fmt"

	"github.com/salveops/salve/agent/internal/observe/document"
	"github.com/salveops/salve/pkg/jsonpath"
)

// told is a pool that tells its figures as JSON, in which they are found by paths.
type told struct {
	from  *document.Source
	paths map[string]jsonpath.Path
}

func newTold(url string, fields map[string]string) (*told, error) {
	t := &told{from: document.HTTP(url), paths: map[string]jsonpath.Path{}}
	for name, text := range fields {
		path, err := jsonpath.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read path of %s: %w", name, err)
		}
		t.paths[name] = path
	}
	return t, nil
}

func (t *told) ask(ctx context.Context) (reading, error) {
	doc, err := t.from.Read(ctx)
	if err != nil {
		return nil, err
	}
	return findFigures(doc, t.paths)
}

// findFigures finds every figure, or says which one is not there. What is negative is none.
func findFigures(doc any, paths map[string]jsonpath.Path) (reading, error) {
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

func (t *told) close() { t.from.Close() }
