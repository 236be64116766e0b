package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/salveops/salve/agent/agenttest"
)

const carts = 100

// digest is what Redis itself makes of all carts.
const digest = `EVAL "local all = '' for i = 1, ARGV[1] do all = all .. redis.call('GET', 'cart:' .. i) end ` +
	`return redis.sha1hex(all)" 0 `

// count is how many keys begin with a prefix.
const count = `EVAL "return #redis.call('KEYS', ARGV[1] .. '*')" 0 `

// openCache starts a Redis that refuses what it has no room for, and puts carts into it.
func (s *toolbox) openCache(ctx context.Context) error {
	r, err := agenttest.StartRedis(s.dir, "maxmemory 24mb", "maxmemory-policy noeviction")
	if errors.Is(err, agenttest.ErrMissing) {
		s.lacks[cart] = "Redis is not installed (Debian package redis-server)"
		return nil
	}
	if err != nil {
		return err
	}
	s.redis = r
	s.onClose(func() error { r.Stop(); return nil })
	if err := os.WriteFile(s.file("redis.key"), []byte(r.Password+"\n"), 0o600); err != nil {
		return err
	}
	_, err = r.Ask(ctx, fmt.Sprintf(`EVAL "for i = 1, ARGV[1] do redis.call('SET', 'cart:' .. i, 'lamps ' .. i) end" 0 %d`, carts))
	if err == nil {
		_, err = r.Ask(ctx, `SET page:/ welcome`)
	}
	s.keepWriting(cart, func(ctx context.Context) error {
		_, err := r.Ask(ctx, "SET visit x EX 60")
		return err
	})
	return err
}

// fillWithPages puts pages into Redis until it is full.
func (s *toolbox) fillWithPages(ctx context.Context) error {
	for n := 0; ; n += 20 {
		_, err := s.redis.Ask(ctx, fmt.Sprintf(`EVAL "for i = %d, %d do redis.call('SET', 'page:' .. i, string.rep('x', 16384)) end" 0`,
			n, n+19))
		if err != nil && strings.HasPrefix(err.Error(), "OOM") {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *toolbox) fullCache() tool {
	var before, pages string
	return tool{tell: "cached pages fill a Redis, and carts are refused", trial: trial{
		title: "a full cache", service: cart, want: healedBy("forget-pages"),
		inflict: func(ctx context.Context) (err error) {
			if before, err = s.redis.Ask(ctx, digest+strconv.Itoa(carts)); err != nil {
				return err
			}
			if err := s.fillWithPages(ctx); err != nil {
				return err
			}
			pages, err = s.redis.Ask(ctx, count+"page:")
			return err
		},
		check: func(ctx context.Context) (string, error) {
			after, err := s.redis.Ask(ctx, digest+strconv.Itoa(carts))
			if err == nil && after != before {
				err = errors.New("the carts are not what they were")
			}
			left, asked := s.redis.Ask(ctx, count+"page:")
			if err = errors.Join(err, asked); err == nil && left != "0" {
				err = fmt.Errorf("%s pages are left", left)
			}
			return fmt.Sprintf("%s pages → %s; %d carts have the SHA-1 that they had", pages, left, carts), err
		},
	}}
}
