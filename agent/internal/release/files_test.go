package release

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/snapshot"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

// conf is a shop of whose configuration is learned, not of its releases.
type conf struct {
	*shop
	args *remedy.FilesArgs
}

func newConf(t *testing.T) *conf {
	t.Helper()
	s := newShop(t)
	c := &conf{s, &remedy.FilesArgs{Path: filepath.Join(s.root, "conf"), Files: []string{"*.conf"}, Marker: filepath.Join(s.root, "no-way"),
		Return: remedy.Return{Units: []string{"shop.service"}, GoodAfter: 15 * time.Minute}}}
	s.must(os.Mkdir(c.args.Path, 0o755))
	s.l.o.Data = t.TempDir()
	c.aim("shop")
	return c
}

const ofConf = "rollback_files shop"

func (c *conf) aim(names ...string) {
	var services []*config.Service
	for _, name := range names {
		services = append(services, &config.Service{Name: name, Remedies: []*config.Remedy{{Kind: remedy.RollbackFiles, Args: c.args}}})
	}
	c.l.Aim(services)
}

// write changes the file and starts the unit with it.
func (c *conf) write(text string) {
	c.t.Helper()
	c.must(os.WriteFile(filepath.Join(c.args.Path, "a.conf"), []byte(text), 0o644))
	c.pass(0, true)
	c.now = c.now.Add(time.Second)
	c.start()
}

func (c *conf) pass(d time.Duration, well bool) {
	c.l.look(ofConf, c.l.watched[ofConf], well)
	for step := min(d, time.Minute); d > 0; d -= step {
		c.now = c.now.Add(step)
		c.l.look(ofConf, c.l.watched[ofConf], well)
	}
}

// want checks what is known to be good, the newest first, and that one can come back to each.
func (c *conf) want(texts ...string) {
	c.t.Helper()
	good := c.l.Good("shop", remedy.RollbackFiles)
	if len(good) != len(texts) {
		c.t.Errorf("%d states are known, want %q", len(good), texts)
		return
	}
	for i, g := range good {
		s, err := snapshot.Open(c.l.o.Data, "shop")
		c.must(err)
		defer s.Close()
		m, err := s.Load(g.ID)
		c.must(err)
		c.must(s.Verify(m))
		if f := m.File("a.conf"); f == nil || f.Size != int64(len(texts[i])) {
			c.t.Errorf("%d is %+v, want %q", i, m, texts[i])
		}
	}
	if other := c.l.Good("shop", remedy.Rollback); len(other) > 0 {
		c.t.Errorf("releases are known: %v", other)
	}
}

// A state of files that ran well is kept. One that no unit was started with, or that changed before it was kept, is not.
func TestLearnsFiles(t *testing.T) {
	c := newConf(t)
	c.write("1")
	c.pass(16*time.Minute, true)
	c.want("1")
	c.must(os.WriteFile(filepath.Join(c.args.Path, "a.conf"), []byte("22"), 0o644))
	c.pass(time.Hour, true) // nobody was started with that
	c.want("1")
	c.start()
	c.pass(14*time.Minute, true)
	c.want("1")
	c.pass(time.Minute, true)
	c.want("22", "1")
	w := c.l.watched[ofConf]
	if err := w.subject.Keep(c.l.Good("shop", remedy.RollbackFiles)[1].Version); err == nil {
		t.Error("what is not there is kept")
	}
	for _, text := range []string{"333", "4444", "55555", "666666", "7777777", "88888888", "999999999", "1010101010"} {
		c.write(text)
		c.pass(16*time.Minute, true)
	}
	c.want("1010101010", "999999999", "88888888", "7777777", "666666")
	all, err := filepath.Glob(filepath.Join(c.l.o.Data, "snapshots/of-shop/*.manifest"))
	if err != nil || len(all) != 5+3 {
		t.Errorf("%d snapshots are kept, %v", len(all), err)
	}
}

// No file is no state that could be gone back to, and neither is one that is not kept.
func TestNothingToLearn(t *testing.T) {
	c := newConf(t)
	c.start()
	c.pass(time.Hour, true)
	c.want()
	c.l.o.Data = filepath.Join(c.root, "no such folder")
	c.aim("shop")
	c.write("1")
	c.pass(time.Hour, true)
	if good := c.l.Good("shop", remedy.RollbackFiles); len(good) > 0 {
		t.Errorf("known is %v", good)
	}
}

// The marker takes with it what ran well before, and what is not configured any more is dropped with all that was kept.
func TestForgetsFiles(t *testing.T) {
	c := newConf(t)
	c.write("1")
	c.pass(16*time.Minute, true)
	c.write("22")
	c.pass(16*time.Minute, true)
	c.must(os.WriteFile(c.args.Marker, nil, 0o644))
	c.pass(time.Second, true)
	c.want("22")
	c.aim("other")
	c.want("22")
	c.now = c.now.Add(31 * 24 * time.Hour)
	c.aim("other")
	c.want()
	if _, err := snapshot.Open(c.l.o.Data, "shop"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the contents are still kept: %v", err)
	}
}
