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
	"github.com/salveops/salve/pkg/defaults"
)

// Bounds of one step.
const (
	scanned   = "1000" // keys that the server looks at for one question
	mostAbout = 100    // keys that are removed by one
)

// remote is a Redis that is asked.
type remote struct {
	*redis.Conn
	at      redis.Target
	removed int64
	end     string
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
	r.end = "the database was emptied"
	return nil
}

// sweep goes through the keys and removes those that are meant, until it has seen all, or removed as many as it may, or nine
// tenths of the time are over that the action has. Between two steps it waits for the rate, and at least as long as the step
// took: a server that is slow has something else to do.
func (k Kind) sweep(ctx context.Context, r *remote, s *kind.Step) error {
	a, began := argsOf(s.Request), k.Clock.Now().Boot
	limit := cmp.Or(s.Remedy.Timeout, defaults.ActionTimeout) * 9 / 10
	about := max(1, min(mostAbout, a.Rate/10))
	for cursor := ""; cursor != "0"; {
		start := k.Clock.Now().Boot
		next, keys, err := r.scan(ctx, cmp.Or(cursor, "0"), a.Prefix)
		if err != nil {
			return r.broke(err)
		}
		cursor = next
		for first := true; first || len(keys) > 0; first = false { // also once after no key: to look at many takes time, too
			if err := s.Halted(ctx); err != nil {
				return r.broke(err)
			}
			n := min(len(keys), about, a.Most-int(r.removed))
			if err := r.remove(ctx, keys[:n]); err != nil {
				return r.broke(err)
			}
			keys = keys[n:]
			if r.removed >= int64(a.Most) {
				r.end = "as many keys were removed as may be in one run; there may be more"
				return nil
			}
			pause := k.pause(start, n, a.Rate)
			if k.Clock.Now().Boot+pause-began > limit {
				r.end = "the time of one run was over; there may be more"
				return nil
			}
			if err := rest(ctx, pause); err != nil {
				return r.broke(err)
			}
			start = k.Clock.Now().Boot
		}
	}
	r.end = "every key was looked at"
	return nil
}

// pause is how long to wait after a step that began at start and removed so many keys.
func (k Kind) pause(start time.Duration, keys, rate int) time.Duration {
	took := k.Clock.Now().Boot - start
	return max(took, time.Duration(keys)*time.Second/time.Duration(rate)-took)
}

func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// broke is the error of a sweep that could not go on.
func (r *remote) broke(err error) error {
	r.end = fmt.Sprintf("it broke off after %d keys", r.removed)
	return fmt.Errorf("after %d keys were removed: %w", r.removed, err)
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
func (r *remote) remove(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	commands := make([][]string, len(keys))
	for i, key := range keys {
		commands[i] = []string{"UNLINK", key}
	}
	answers, err := r.Each(ctx, commands)
	if err != nil {
		return fmt.Errorf("%w: %w", kind.ErrLost, err)
	}
	var refused error
	for _, v := range answers {
		switch v.Err.Code() {
		case "":
			n, _ := strconv.ParseInt(v.Text, 10, 64)
			r.removed += n
		case "MOVED", "ASK", "TRYAGAIN":
		default:
			refused = v.Err
		}
	}
	return refused
}
