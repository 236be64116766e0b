package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// ports are the addresses on which the stage differs from the pack, which names those of the distributions.
type ports struct {
	redis, haproxy, nginx, second, amqp, epmd, dist       string
	redisPage, haproxyPage, nginxPage, rabbitPage, pgPage string
}

// stage is the services, their exporters and the agent.
type stage struct {
	dir      string
	ports    ports
	manager  *agenttest.Systemd
	database *agenttest.Pool
	agent    *rig.Agent
	settled  time.Time // when the units have had their time to start, which rules give them
	rabbit   string    // folder of RabbitMQ's programs, past Debian's wrappers, which want its user
	undo     []func() error
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) onClose(f func() error) { s.undo = append(s.undo, f) }

// close takes everything down, the newest first.
func (s *stage) close() (err error) {
	for _, f := range slices.Backward(s.undo) {
		err = errors.Join(err, f())
	}
	return err
}

// newStage starts all of it; also one that failed halfway is to be closed.
func newStage(ctx context.Context) (s *stage, err error) {
	s = &stage{}
	if s.dir, err = os.MkdirTemp("", "salve-badday-"); err != nil {
		return s, err
	}
	s.onClose(func() error { return os.RemoveAll(s.dir) })
	free, err := rig.FreePorts(12)
	if err != nil {
		return s, err
	}
	p := &s.ports
	for i, to := range []*string{&p.redis, &p.haproxy, &p.nginx, &p.second, &p.amqp, &p.epmd, &p.dist, &p.redisPage,
		&p.haproxyPage, &p.nginxPage, &p.rabbitPage, &p.pgPage} {
		*to = free[i]
	}
	if s.database, err = agenttest.StartPgBouncer(); err != nil {
		return s, err
	}
	s.onClose(s.database.Remove)
	if s.manager, err = agenttest.StartManager(ctx, agenttest.Options{}); err != nil {
		return s, err
	}
	s.onClose(s.manager.Stop)
	for _, start := range []func(context.Context) error{s.startUnits, s.startExporters} {
		if err := start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

func port(address string) string { _, p, _ := net.SplitHostPort(address); return p }

// startUnits starts the services that systemd knows, under the names that the pack has for them.
func (s *stage) startUnits(ctx context.Context) error {
	p := s.ports
	files := map[string]string{
		"haproxy.cfg": fmt.Sprintf(`defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend web
  bind %s
  default_backend app
backend app
  option httpchk GET /
  default-server inter 1s fall 2 rise 2 check
  server one %s
  server two %s
backend spare
  server one %s
frontend metrics
  bind %s
  http-request use-service prometheus-exporter if { path /metrics }
`, p.haproxy, p.nginx, p.second, p.nginx, p.haproxyPage),
		"nginx/nginx.conf": fmt.Sprintf(`daemon off;
worker_processes 1;
pid pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server { listen %s; listen %s; location /stub_status { stub_status; } location / { return 200 "ok"; } }
}
`, p.nginx, p.second),
		"rabbitmq/rabbitmq.conf": fmt.Sprintf("listeners.tcp.1 = %s\nprometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = %s\n",
			p.amqp, port(p.rabbitPage)),
		"rabbitmq/plugins": "[rabbitmq_prometheus].\n",
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(s.file(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(s.file(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	sbin, err := filepath.Glob("/usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server")
	if err != nil || len(sbin) == 0 {
		return fmt.Errorf("rabbitmq-server: %w", agenttest.ErrMissing)
	}
	s.rabbit = filepath.Dir(sbin[0])
	var env []string
	for _, v := range s.rabbitEnv() {
		env = append(env, "Environment="+v)
	}
	units := map[string]rig.Unit{
		"redis-server.service": {Exec: []string{"/usr/bin/redis-server", "--port", port(p.redis), "--bind", "127.0.0.1",
			"--maxclients", "60", "--save", ""}},
		"haproxy.service":         {Exec: []string{"/usr/sbin/haproxy", "-db", "-f", s.file("haproxy.cfg")}},
		"nginx.service":           {Exec: []string{"/usr/sbin/nginx", "-p", s.file("nginx"), "-c", "nginx.conf"}},
		"rabbitmq-server.service": {Exec: sbin[:1], Lines: env},
	}
	for name, u := range units {
		u.Description = "Salve bad day: " + name
		if err := s.manager.WriteUnit(name, u.String()); err != nil {
			return err
		}
		if _, err := s.manager.Systemctl("start", name); err != nil {
			return err
		}
	}
	s.settled = time.Now().Add(2 * time.Minute)
	return await(ctx, "http://"+p.rabbitPage+"/metrics", "http://"+p.nginx+"/stub_status", "http://"+p.haproxyPage+"/metrics")
}

// rabbitEnv keeps RabbitMQ within the stage.
func (s *stage) rabbitEnv() []string {
	home := s.file("rabbitmq")
	return []string{"HOME=" + home, "RABBITMQ_NODENAME=badday@localhost", "RABBITMQ_MNESIA_BASE=" + home + "/mnesia",
		"RABBITMQ_LOG_BASE=" + home + "/log", "RABBITMQ_ENABLED_PLUGINS_FILE=" + home + "/plugins",
		"RABBITMQ_CONFIG_FILE=" + home + "/rabbitmq", "RABBITMQ_PID_FILE=" + home + "/pid", "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_DIST_PORT=" + port(s.ports.dist), "ERL_EPMD_PORT=" + port(s.ports.epmd), "ERL_EPMD_ADDRESS=127.0.0.1",
		"PATH=" + os.Getenv("PATH")}
}

func (s *stage) startExporters(ctx context.Context) error {
	p := s.ports
	for _, e := range []struct {
		name, at string
		argv     []string
		env      string
	}{
		{"redis", p.redisPage, []string{"-redis.addr", "redis://" + p.redis, "-web.listen-address", p.redisPage}, ""},
		{"nginx", p.nginxPage, []string{"-nginx.scrape-uri", "http://" + p.nginx + "/stub_status", "-web.listen-address",
			p.nginxPage}, ""},
		{"postgres", p.pgPage, []string{"--web.listen-address=" + p.pgPage},
			"DATA_SOURCE_NAME=user=postgres dbname=postgres sslmode=disable host=" + filepath.Dir(s.database.Postgres)},
	} {
		argv := append([]string{"/usr/bin/prometheus-" + e.name + "-exporter"}, e.argv...)
		x, err := rig.StartProgram(argv, append(os.Environ(), e.env), s.file(e.name+"-exporter.log"))
		if err != nil {
			return err
		}
		s.onClose(func() error { x.Stop(); return nil })
		if err := await(ctx, "http://"+e.at+"/metrics"); err != nil {
			return fmt.Errorf("%w\n%s", err, rig.LastLines(s.file(e.name+"-exporter.log"), 5))
		}
	}
	return nil
}

// startAgent runs an agent that has the pack, does nothing by itself, and records.
func (s *stage) startAgent(ctx context.Context, binary, rules string) error {
	files, err := filepath.Glob(filepath.Join(rules, "*.hcl"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no rules in %s (%v)", rules, err)
	}
	p := s.ports
	here := strings.NewReplacer("127.0.0.1:6379", p.redis, "127.0.0.1:9121", p.redisPage, "127.0.0.1:8404", p.haproxyPage,
		"127.0.0.1:9113", p.nginxPage, "127.0.0.1:9187", p.pgPage, "127.0.0.1:15692", p.rabbitPage,
		"/run/postgresql/.s.PGSQL.6432", s.database.Socket, "/run/postgresql/.s.PGSQL.5432", s.database.Postgres,
		`database  = "checkout"`, `database = "app"`, // of the pool, which asks PgBouncer's console
		`user     = "salve"`, `user = "postgres"`) // of the probes, which ask PostgreSQL
	if err := os.Mkdir(s.file("rules.d"), 0o755); err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.file("rules.d/"+filepath.Base(f)), []byte(here.Replace(string(text))), 0o644); err != nil {
			return err
		}
	}
	config, err := os.ReadFile(filepath.Join(rules, "../agent.hcl"))
	if err != nil {
		return err
	}
	config = fmt.Appendf(config, "record_mib = 64\ndata = %q\nsocket = %q\nmetrics = \"\"\n", s.file("state"),
		s.file("agent.sock"))
	if err := os.WriteFile(s.file("agent.hcl"), config, 0o644); err != nil {
		return err
	}
	s.agent, err = rig.StartAgent(ctx, rig.AgentOptions{Binary: binary, Config: s.file("agent.hcl"),
		Systemd: s.manager.Address, Socket: s.file("agent.sock"), Log: s.file("agent.log")})
	if err == nil {
		s.onClose(func() error { s.agent.Stop(); return nil })
	}
	return err
}

// await waits until each of the addresses gives a page.
func await(ctx context.Context, urls ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, url := range urls {
		for {
			_, err := rig.Get(ctx, url)
			if err == nil {
				break
			}
			select {
			case <-time.After(time.Second / 4):
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", url, err)
			}
		}
	}
	return nil
}
