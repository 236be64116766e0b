package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// event is what is done to the stage, from a time since the beginning of the day until another.
type event struct {
	from, to time.Duration
	services []string // that are ill meanwhile; none: it only looks so
	what     string
	do       func(context.Context) error // begins it, and ends it when ctx does
}

// happening is an event as it came about.
type happening struct {
	event
	began, ended time.Time
}

const endOfDay = 640 * time.Second

// day is in the order of its beginnings; what is done to different services overlaps. What only looks like trouble is more
// than five minutes after the last trouble of its service, or a backtest would take the one for the other.
func (s *stage) day() []event {
	sec := func(n int) time.Duration { return time.Duration(n) * time.Second }
	return []event{
		{sec(30), sec(70), []string{"redis"}, "Redis hangs", s.freezeRedis},
		{sec(60), sec(150), []string{"nginx", "haproxy"}, "nginx is killed, so HAProxy has no server", s.killNginx},
		{sec(140), sec(220), []string{"redis"}, "Redis refuses clients: all 60 places are taken", func(ctx context.Context) error {
			return s.crowd(ctx, 200)
		}},
		{sec(160), sec(380), []string{"postgresql"}, "a transaction keeps a lock and does nothing, and others wait", s.holdLock},
		{sec(230), sec(310), []string{"checkout"}, "clients of PgBouncer keep all connections", s.holdPool},
		{sec(330), sec(410), []string{"rabbitmq"}, "RabbitMQ has too little memory, and blocks publishers", s.starveRabbit},
		{sec(470), sec(472), nil, "nginx is started again, for a release", func(context.Context) error {
			_, err := s.manager.Systemctl("restart", "nginx.service")
			return err
		}},
		{sec(540), sec(590), nil, "Redis has 56 of 60 clients, and refuses none", func(ctx context.Context) error {
			return s.crowd(ctx, 54)
		}},
	}
}

// pass lets the day pass, and says what came of each event.
func (s *stage) pass(ctx context.Context) ([]happening, error) {
	if err := until(ctx, s.settled); err != nil {
		return nil, err
	}
	begin := time.Now()
	day := s.day()
	all, errs := make([]happening, len(day)), make([]error, len(day))
	var under sync.WaitGroup
	for i, e := range day {
		under.Go(func() {
			if errs[i] = until(ctx, begin.Add(e.from)); errs[i] != nil {
				return
			}
			all[i] = happening{event: e, began: time.Now()}
			while, cancel := context.WithDeadline(ctx, begin.Add(e.to))
			defer cancel()
			if err := e.do(while); err != nil {
				errs[i] = fmt.Errorf("%s: %w", e.what, err)
			}
			errs[i] = errors.Join(errs[i], until(ctx, begin.Add(e.to)))
			all[i].ended = time.Now()
			fmt.Printf("%4.0fs  %s\n", all[i].ended.Sub(begin).Seconds(), e.what)
		})
	}
	under.Wait()
	return all, errors.Join(append(errs, until(ctx, begin.Add(endOfDay)))...)
}

func until(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowd connects so many clients to Redis, and tries again with those that are refused.
func (s *stage) crowd(ctx context.Context, clients int) error {
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", s.ports.redis)
				if err != nil {
					return
				}
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				_, _ = c.Read(make([]byte, 100)) // until Redis or the event ends it
				stop()
				_ = c.Close()
				_ = until(ctx, time.Now().Add(time.Second))
			}
		})
	}
	all.Wait()
	return nil
}

func (s *stage) killNginx(ctx context.Context) error {
	if _, err := s.manager.Systemctl("kill", "--signal=SIGKILL", "nginx.service"); err != nil {
		return err
	}
	<-ctx.Done()
	_, err := s.manager.Systemctl("start", "nginx.service")
	return err
}

// holdLock leaves a transaction open that others wait for.
func (s *stage) holdLock(ctx context.Context) error {
	const address = "host=%s user=postgres dbname=postgres"
	config, err := pgconn.ParseConfig(fmt.Sprintf(address, filepath.Dir(s.database.Postgres)))
	if err != nil {
		return err
	}
	var open []*pgconn.PgConn
	defer func() {
		for _, c := range open {
			_ = c.Close(context.Background())
		}
	}()
	for range 3 {
		c, err := pgconn.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		open = append(open, c)
	}
	for _, sql := range []string{"CREATE TABLE IF NOT EXISTS t ()", "BEGIN", "LOCK TABLE t"} {
		if err := open[0].Exec(ctx, sql).Close(); err != nil {
			return err
		}
	}
	var waiting sync.WaitGroup
	for _, c := range open[1:] {
		waiting.Go(func() { _ = c.Exec(ctx, "SELECT * FROM t").Close() })
	}
	waiting.Wait()
	return nil
}

// holdPool keeps both connections of the pool, as clients do that forget to give them back.
func (s *stage) holdPool(ctx context.Context) error {
	for range 2 {
		c, err := s.database.Connect(ctx, s.database.User, s.database.Database)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close(context.Background()) }()
		if err := c.Exec(ctx, "SELECT 1").Close(); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func (s *stage) starveRabbit(ctx context.Context) error {
	if err := s.rabbitctl("set_vm_memory_high_watermark", "0.0001"); err != nil {
		return err
	}
	<-ctx.Done()
	return s.rabbitctl("set_vm_memory_high_watermark", "0.4")
}

func (s *stage) rabbitctl(args ...string) error {
	cmd := exec.Command(filepath.Join(s.rabbit, "rabbitmqctl"), append([]string{"--node", "badday@localhost"}, args...)...)
	cmd.Env = s.rabbitEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl: %w: %s", err, out)
	}
	return nil
}

func (s *stage) freezeRedis(ctx context.Context) error {
	if _, err := s.manager.Systemctl("kill", "--signal=SIGSTOP", "redis-server.service"); err != nil {
		return err
	}
	<-ctx.Done()
	_, err := s.manager.Systemctl("kill", "--signal=SIGCONT", "redis-server.service")
	return err
}

// keepAsking is the customers: twenty requests a second through HAProxy, and two queries through PgBouncer.
func (s *stage) keepAsking(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	client := &http.Client{Timeout: 2 * time.Second}
	var all sync.WaitGroup
	every := func(d time.Duration, ask func()) {
		all.Go(func() {
			for until(ctx, time.Now().Add(d)) == nil {
				ask()
			}
		})
	}
	every(time.Second/20, func() {
		if r, err := client.Get("http://" + s.ports.haproxy + "/"); err == nil {
			_ = r.Body.Close()
		}
	})
	for range 3 {
		every(time.Second, func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if c, err := s.database.Connect(ctx, s.database.User, s.database.Database); err == nil {
				_ = c.Exec(ctx, "SELECT 1").Close()
				_ = c.Close(context.WithoutCancel(ctx))
			}
		})
	}
	return func() { cancel(); all.Wait() }
}
