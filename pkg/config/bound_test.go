package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// TestTooManyBlocks: each type of block is bounded, and that is said once.
func TestTooManyBlocks(t *testing.T) {
	for name := range bounds {
		if len(agentKinds()[name].names()) == 0 {
			t.Errorf("there is no block %q", name)
		}
	}
	for _, name := range []string{"scrape", "pool", "service", "step"} {
		l, most := newLoader(LoadOptions{}), otherwise
		if b, named := bounds[name]; named {
			most = b.most
		}
		for range most {
			l.count(name, hcl.Range{})
		}
		if len(l.diags) > 0 {
			t.Errorf("%d blocks %q: %v", most, name, l.diags)
		}
		l.count(name, hcl.Range{})
		l.count(name, hcl.Range{})
		if len(l.diags) != 1 || !strings.Contains(l.diags[0].Detail, fmt.Sprintf("at most %d blocks %q", most, name)) {
			t.Errorf("%d blocks %q: %v", most+2, name, l.diags)
		}
	}
}

// TestTooManyMetrics: blocks are counted over all services, and files.
func TestTooManyMetrics(t *testing.T) {
	dir := t.TempDir()
	load := func(metrics int) hcl.Diagnostics {
		var a, b strings.Builder
		for i := range metrics {
			to := &a
			if i%2 == 1 {
				to = &b
			}
			fmt.Fprintf(to, "metric \"m%d\" { value = \"a\" }\n", i)
		}
		for name, text := range map[string]string{"a": a.String(), "b": b.String()} {
			text = fmt.Sprintf("service %q {\nscrape \"s\" {\nurl = \"http://127.0.0.1/\"\n%s}\n}\n", name, text)
			if err := os.WriteFile(filepath.Join(dir, name+".hcl"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, diags := LoadTests(dir, LoadOptions{Host: "h"})
		return diags
	}
	if diags := load(otherwise); diags.HasErrors() {
		t.Error(diags)
	}
	if diags := load(otherwise + 1); len(diags.Errs()) != 1 || !strings.Contains(diags.Error(), "at most 20000 blocks \"metric\"") {
		t.Error(diags)
	}
}
