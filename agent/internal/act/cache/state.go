package cache

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/redis"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/signal"
)

// state is a Redis at one moment, as it tells of itself. No key is in it: its name may be somebody's secret.
type state struct {
	Server redis.Target `json:"server"`
	counts
	Cluster bool `json:"cluster,omitempty"` // it is a node of a cluster

	unfit string // why its keys must not be removed for good
	wait  string // and why not now
}

func target(c *config.Cache) redis.Target {
	return redis.Target{Address: c.Redis, Database: c.Database, User: c.User, PasswordFile: c.PasswordFile, Secure: c.Secure,
		CAFile: c.CAFile}
}

// look finds out what the server is. One that is unfit tells no more than why.
func (r *remote) look(ctx context.Context) (state, error) {
	text, err := r.ask(ctx, "INFO")
	if err != nil {
		return state{}, err
	}
	s := told(parseInfo(text.Text), r.at)
	if s.fit() != nil {
		return s, nil
	}
	if err := r.more(ctx, &s); err != nil {
		return state{}, err
	}
	return s, nil
}

// told is what the server's information says.
func told(i info, at redis.Target) state {
	s := state{Server: at, Cluster: i["cluster_enabled"] == "1", counts: counts{
		Life: i["run_id"], Bytes: i.number("used_memory"), Hits: i.number("keyspace_hits"), Misses: i.number("keyspace_misses"),
		Commands: i.number("total_commands_processed"),
	}}
	switch {
	case i["role"] == "slave":
		s.unfit = fmt.Sprintf("it is a replica of %s:%s; only a primary is cleared, and its replicas follow", i["master_host"],
			i["master_port"])
	case i["role"] != "master" || s.Life == "":
		s.unfit = fmt.Sprintf("it is no Redis with data: its role is %q", i["role"])
	case i.number("loading") != 0 || i.number("async_loading") != 0:
		s.wait = "it is loading its data"
	case cmp.Or(i["master_failover_state"], "no-failover") != "no-failover":
		s.wait = "it is handing over to a replica"
	}
	return s
}

// more asks a server that could be cleared.
func (r *remote) more(ctx context.Context, s *state) error {
	if s.Cluster {
		text, err := r.ask(ctx, "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		if how := parseInfo(text.Text)["cluster_state"]; how != "ok" {
			s.wait = fmt.Sprintf("the state of its cluster is %q", how)
			return nil
		}
	}
	text, err := r.ask(ctx, "INFO", "commandstats")
	if err != nil {
		return err
	}
	stats := parseInfo(text.Text)
	s.Removals = stats.calls("unlink") + stats.calls("flushdb")
	size, err := r.ask(ctx, "DBSIZE")
	if err != nil {
		return err
	}
	if s.Keys, err = strconv.ParseInt(size.Text, 10, 64); err != nil {
		return fmt.Errorf("unexpected number of keys %.100q", size.Text)
	}
	return nil
}

// fit refuses a server whose keys must not be removed.
func (s state) fit() error {
	switch {
	case s.unfit != "":
		return kind.Refuse("Redis at %s is left alone: %s", s.Server.Address, s.unfit)
	case s.wait != "":
		return kind.Postpone("Redis at %s is left alone: %s", s.Server.Address, s.wait)
	}
	return nil
}

// lines say what there is, for who asks before it is cleared.
func (s state) lines() []string {
	return []string{fmt.Sprintf("Redis at %s: %d keys in database %d, %s in all databases; %s", s.Server.Address, s.Keys,
		s.Server.Database, signal.Format(signal.Bytes, float64(s.Bytes)), s.hitRate())}
}

// info is what the server tells of itself, by name.
type info map[string]string

func parseInfo(text string) info {
	all := info{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			all[name] = value
		}
	}
	return all
}

// number is 0 for what is not told, or no number.
func (i info) number(name string) int64 {
	n, _ := strconv.ParseInt(i[name], 10, 64)
	return n
}

// calls is how often the command ran, out of "calls=3,usec=12,…".
func (i info) calls(command string) int64 {
	calls, _, _ := strings.Cut(strings.TrimPrefix(i["cmdstat_"+command], "calls="), ",")
	n, _ := strconv.ParseInt(calls, 10, 64)
	return n
}
