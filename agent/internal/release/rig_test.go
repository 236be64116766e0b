package release

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

// disk is a store that may be full.
type disk struct {
	records map[string][]byte
	full    bool
}

func (d *disk) Put(key string, v any) error {
	if d.full {
		return errors.New("disk full")
	}
	text, err := json.Marshal(v)
	d.records[key] = text
	return err
}

func (d *disk) DeleteSoon(key string) error {
	delete(d.records, key)
	return nil
}

func (d *disk) Each(f func(string, func(any) error) error) error {
	for key, text := range d.records {
		if err := f(key, func(v any) error { return json.Unmarshal(text, v) }); err != nil {
			return err
		}
	}
	return nil
}

// shop is a service with releases on disk, and a clock of its own.
type shop struct {
	t    *testing.T
	root string
	args *remedy.RollbackArgs
	now  clock.Instant
	unit systemd.Unit
	disk *disk
	l    *Learner
}

func newShop(t *testing.T) *shop {
	t.Helper()
	root := t.TempDir()
	s := &shop{t: t, root: root, disk: &disk{records: map[string][]byte{}}, now: clock.Instant{Boot: time.Hour, Wall: time.Unix(1e9, 0)}}
	s.args = &remedy.RollbackArgs{Link: filepath.Join(root, "current"), Releases: filepath.Join(root, "releases"),
		Marker: ".no-rollback", Return: remedy.Return{Units: []string{"shop.service"}, GoodAfter: 15 * time.Minute}}
	s.must(os.Mkdir(s.args.Releases, 0o755))
	s.anew()
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Now and BootID implement clock.Clock.
func (s *shop) Now() clock.Instant { return s.now }
func (s *shop) BootID() string     { return "boot" }

// anew is a new process of the agent.
func (s *shop) anew() {
	s.t.Helper()
	var err error
	s.l, err = NewLearner(Options{Store: s.disk, Clock: s, Log: hclog.NewNullLogger(),
		Unit: func(name string) (systemd.Unit, bool) { return s.unit, name == "shop.service" }})
	s.must(err)
	s.aim()
}

func (s *shop) aim() {
	s.l.Aim([]*config.Service{{Name: "shop", Remedies: []*config.Remedy{{Kind: remedy.Rollback, Args: s.args}}}, {Name: "plain"}})
}

// deploy makes the release, lets the link lead to it, and starts the unit anew.
func (s *shop) deploy(name string) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Join(s.args.Releases, name), 0o755))
	s.link("releases/" + name)
	s.start()
}

func (s *shop) link(text string) {
	s.t.Helper()
	s.must(os.Symlink(text, filepath.Join(s.root, "next")))
	s.must(os.Rename(filepath.Join(s.root, "next"), s.args.Link))
}

func (s *shop) start() {
	s.unit = systemd.Unit{Active: "active", ExecMainStart: s.now.Boot, Changed: s.now.Boot}
}

// pass lets time go by, with looks at its beginning, at its end, and in between.
func (s *shop) pass(d time.Duration, well bool) {
	s.l.look(ofShop, s.l.watched[ofShop], well)
	for step := min(d, time.Minute); d > 0; d -= step {
		s.now = s.now.Add(step)
		s.l.look(ofShop, s.l.watched[ofShop], well)
	}
}

// ofShop is what the releases of the shop are known by.
const ofShop = "rollback shop"

// good are the releases that are known to be good.
func (s *shop) good() []Good { return s.l.Good("shop", remedy.Rollback) }

// want checks which releases are known to be good, the newest first, now and to the next process.
func (s *shop) want(names ...string) {
	s.t.Helper()
	check := func(where string, list []Good) {
		got := make([]string, len(list))
		for i, g := range list {
			got[i] = g.Name
		}
		if !slices.Equal(got, names) {
			s.t.Errorf("%s known to be good are %v, want %v", where, got, names)
		}
	}
	check("", s.good())
	var kept []Good
	if text := s.disk.records[ofShop]; text != nil {
		s.must(json.Unmarshal(text, &kept))
	}
	check("on disk", kept)
}

func refused(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %q", err, text)
	}
}
