package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/redis"
	"github.com/salveops/salve/pkg/incident"
)

// scanned is how many keys the server looks at for one question.
const scanned = "1000"

// askTimeout bounds connecting, and each question. A server that takes longer is not well, and must not get more to do.
const askTimeout = 5 * time.Second

// remote is a Redis that is asked.
type remote struct {
	*redis.Conn
	at redis.Target
}

func open(ctx context.Context, at redis.Target) (*remote, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := redis.Connect(ctx, at)
	if err != nil {
		return nil, err
	}
	return &remote{Conn: c, at: at}, nil
}

func (r *remote) ask(ctx context.Context, words ...string) (redis.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return r.Do(ctx, words...)
}

// check implements source.
func (s *state) check(ctx context.Context, step *kind.Step, _ string) error {
	now, err := s.now(ctx)
	if err != nil {
		return kind.Unknown("the state of cache "+step.Target, err)
	}
	if err := now.fit(); err != nil {
		return err
	}
	*s, step.Detail = now, now.lines()
	return now.mayGo(step)
}

// now connects and looks.
func (s *state) now(ctx context.Context) (state, error) {
	r, err := open(ctx, s.Server)
	if err != nil {
		return state{}, err
	}
	defer r.Close()
	return r.look(ctx)
}

// clear implements source.
func (s *state) clear(ctx context.Context, r *run) (evidence, error) {
	after := state{Server: s.Server}
	c, err := open(ctx, s.Server)
	if err != nil {
		return evidence{Redis: &after}, fmt.Errorf("nothing was done: %w", err)
	}
	defer c.Close()
	if r.AtOnce {
		if err = c.flush(ctx); err == nil {
			r.End = "the database was emptied"
		}
	} else {
		err = r.ended(r.sweep(ctx, c))
	}
	if now, lookErr := c.look(ctx); lookErr == nil { // else it is done, and only the evidence is missing
		after = now
	}
	return evidence{Redis: &after}, err
}

// settle implements source: the server counts how often keys were removed from it.
func (s *state) settle(ctx context.Context, _ string) (incident.Phase, string) {
	now, err := s.now(ctx)
	if err == nil {
		err = now.fit()
	}
	if err != nil {
		return incident.Unknown, err.Error()
	}
	return s.became(now.counts)
}

// flush empties the database in one step.
func (r *remote) flush(ctx context.Context) error {
	_, err := r.ask(ctx, "FLUSHDB", "ASYNC")
	var refused redis.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("nothing was removed: %w", err)
	case err != nil:
		return fmt.Errorf("empty the database: %w: %w", kind.ErrLost, err)
	}
	return nil
}

// sweep goes through all keys and removes those that are meant.
func (r *run) sweep(ctx context.Context, c *remote) error {
	for cursor := ""; cursor != "0"; {
		next, keys, err := c.scan(ctx, cmp.Or(cursor, "0"), r.Prefix)
		if err != nil {
			return err
		}
		cursor = next
		for first := true; first || len(keys) > 0; first = false { // also once after no key: to look at many takes time, too
			if err := r.step.Halted(ctx); err != nil {
				return err
			}
			n := min(len(keys), r.size())
			removed, err := c.remove(ctx, keys[:n])
			if err != nil {
				r.Removed += int64(removed)
				return err
			}
			keys = keys[n:]
			if err := r.next(ctx, removed); err != nil {
				return err
			}
		}
	}
	return nil
}

// scan takes the next look at the keys, from the cursor on.
func (r *remote) scan(ctx context.Context, cursor, prefix string) (next string, keys []string, err error) {
	v, err := r.ask(ctx, "SCAN", cursor, "MATCH", quote(prefix)+"*", "COUNT", scanned)
	if err != nil {
		return "", nil, err
	}
	if len(v.List) != 2 || v.List[0].Text == "" {
		return "", nil, errors.New("unexpected answer to SCAN")
	}
	for _, key := range v.List[1].List {
		if strings.HasPrefix(key.Text, prefix) { // whatever the server takes for a match
			keys = append(keys, key.Text)
		}
	}
	return v.List[0].Text, keys, nil
}

// quote makes a text mean itself in a pattern of Redis.
func quote(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// remove removes the keys. Each has a command of its own: the nodes of a cluster take no two of different slots. A key that is
// moving to another node is left to that.
func (r *remote) remove(ctx context.Context, keys []string) (removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	commands := make([][]string, len(keys))
	for i, key := range keys {
		commands[i] = []string{"UNLINK", key}
	}
	answers, err := r.Each(ctx, commands)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", kind.ErrLost, err)
	}
	for _, v := range answers {
		switch v.Err.Code() {
		case "":
			n, _ := strconv.Atoi(v.Text)
			removed += n
		case "MOVED", "ASK", "TRYAGAIN":
		default:
			err = v.Err
		}
	}
	return removed, err
}
