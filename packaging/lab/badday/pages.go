package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// bulk are families that no rule is about and that would be most of a page: of the runtimes of the exporters, and what
// PostgreSQL could be configured to.
var bulk = []string{"go_", "process_", "promhttp_", "erlang_", "telemetry_", "pg_settings_", "redis_latency_percentiles_",
	"rabbitmq_raft_", "haproxy_process_", "haproxy_server_"}

// kept are those of them that a rule is about.
var kept = []string{"pg_settings_max_connections"}

// keepPages writes the pages of all exporters into a folder, once they have something to tell.
func (s *stage) keepPages(ctx context.Context, folder string) error {
	select {
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	p := s.ports
	for name, at := range map[string]string{"redis-exporter": p.redisPage, "haproxy": p.haproxyPage,
		"nginx-exporter": p.nginxPage, "postgres-exporter": p.pgPage, "rabbitmq": p.rabbitPage} {
		page, err := rig.Get(ctx, "http://"+at+"/metrics")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+".txt"), s.trim(page), 0o644); err != nil {
			return err
		}
	}
	replica, err := s.replicaPage(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "redis-replica-exporter.txt"), s.trim(replica), 0o644)
}

// replicaPage is what the exporter tells of a replica.
func (s *stage) replicaPage(ctx context.Context) ([]byte, error) {
	free, err := rig.FreePorts(2)
	if err != nil {
		return nil, err
	}
	host, primary, _ := strings.Cut(s.ports.redis, ":")
	for name, argv := range map[string][]string{
		"replica": {"/usr/bin/redis-server", "--port", port(free[0]), "--bind", host, "--save", "", "--replicaof", host, primary},
		"exporter": {"/usr/bin/prometheus-redis-exporter", "-redis.addr", "redis://" + free[0], "-web.listen-address",
			free[1]},
	} {
		x, err := rig.StartProgram(argv, os.Environ(), s.file(name+".log"))
		if err != nil {
			return nil, err
		}
		defer x.Stop()
	}
	url := "http://" + free[1] + "/metrics"
	if err := await(ctx, url); err != nil {
		return nil, err
	}
	for {
		page, err := rig.Get(ctx, url)
		if err != nil || bytes.Contains(page, []byte("\nredis_master_link_up{")) {
			return page, err
		}
		select {
		case <-time.After(time.Second / 4):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// trim leaves out what no rule is about, and the names of this machine's folders.
func (s *stage) trim(page []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(page) {
		name := bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("# HELP ")), []byte("# TYPE "))
		if !starts(name, kept) && starts(name, bulk) {
			continue
		}
		out.Write(line)
	}
	return bytes.ReplaceAll(out.Bytes(), []byte(filepath.Dir(s.database.Postgres)), []byte("/run/postgresql"))
}

func starts(line []byte, with []string) bool {
	for _, w := range with {
		if bytes.HasPrefix(line, []byte(w)) {
			return true
		}
	}
	return false
}
