package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/config"
)

// What the fourth act ships is what the agent's loader takes, with the remedies that its stories wait for; a story that
// cannot be played here takes its service with it.
func TestShippedToolbox(t *testing.T) {
	const addr = "127.0.0.1:8080"
	for _, lacks := range []map[string]string{nil, {cart: "no Redis", orders: "no PgBouncer"}} {
		s := &toolbox{ground: ground{dir: t.TempDir()}, lacks: lacks}
		for name, text := range map[string]string{"pager.key": "key\n", "redis.key": "key\n"} {
			if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := ship("toolbox", s.dir, map[string]string{"DIR": s.dir, "METRICS": addr, "PAGER": addr, "SHOP": addr,
			"DISK": s.file("disk"), "REDIS": "unix:/redis.sock", "PGBOUNCER": "/.s.PGSQL.6432", "DATABASE": "app"}, s.played); err != nil {
			t.Fatal(err)
		}
		agent, diags := config.LoadAgent(filepath.Join(s.dir, "agent.hcl"), config.LoadOptions{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, st := range s.stories() {
			service := agent.Service(st.service)
			if lacks[st.service] != "" {
				if service != nil {
					t.Errorf("%s is there, and cannot be played", st.service)
				}
				continue
			}
			if service == nil || len(service.Remedies) != 1 || service.Remedies[0].Name != st.want.attempts[0].remedy {
				t.Errorf("%s is %+v, and the story waits for %s", st.service, service, st.want.attempts[0].remedy)
			}
		}
	}
}

// Nobody heals, so no check from outside may be content.
func TestUnhealedTools(t *testing.T) {
	s := &toolbox{ground: ground{dir: t.TempDir(), opts: Options{Private: true}}}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.openManager(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.openParts(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, st := range s.stories() {
		t.Run(st.service, func(t *testing.T) {
			agenttest.Require(t, "what "+st.title+" is about", s.lacks[st.service] == "", s.lacks[st.service])
			if err := st.inflict(t.Context()); err != nil {
				t.Fatal(err)
			}
			if seen, err := st.check(t.Context()); err == nil {
				t.Errorf("nobody healed it, and the check from outside is content: %s", seen)
			}
		})
	}
}
