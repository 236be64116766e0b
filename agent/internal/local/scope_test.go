package local_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/local"
)

func TestScope(t *testing.T) {
	for target, want := range map[string]string{
		"all":                    "all",
		" all ":                  "all",
		"checkout":               "service:checkout",
		"checkout.service":       "unit:checkout.service",
		"worker@2.service":       "unit:worker@2.service",
		"data.mount":             "unit:data.mount",
		"my.app":                 "service:my.app",
		"unit:odd":               "unit:odd",
		"service:all":            "service:all",
		"service:x.service":      "service:x.service",
		"":                       "",
		"host:x":                 "",
		"unit:":                  "",
		"a b":                    "",
		"worker@*.service":       "",
		"unit:../x.service":      "",
		strings.Repeat("x", 257): "",
	} {
		got, err := local.Scope(target)
		if want == "" {
			if !errors.Is(err, local.ErrInvalid) {
				t.Errorf("%q: got %q, error %v; want ErrInvalid", target, got, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %q, error %v; want %q", target, got, err, want)
		}
	}
}

func FuzzScope(f *testing.F) {
	f.Add("unit:a.service")
	f.Fuzz(func(t *testing.T, target string) {
		scope, err := local.Scope(target)
		if err != nil {
			return
		}
		again, err := local.Scope(scope)
		if err != nil || again != scope {
			t.Errorf("%q has scope %q, and that %q, %v", target, scope, again, err)
		}
	})
}
