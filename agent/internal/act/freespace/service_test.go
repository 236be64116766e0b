package freespace_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
)

// While packages are installed, their services are left out, and not waited for: what is upgraded may need the room.
func TestPackageTransaction(t *testing.T) {
	const packaged = "systemd-tmpfiles-clean.service" // systemd brings it for users, too
	d := newDisk(t)
	mark, dropIn := filepath.Join(t.TempDir(), "ran"), filepath.Join(d.Units, packaged+".d")
	d.must(os.Mkdir(dropIn, 0o755))
	d.must(os.WriteFile(filepath.Join(dropIn, "mark.conf"), []byte("[Service]\nExecStart=\nExecStart=/bin/touch "+mark+"\n"), 0o644))
	d.must(d.WriteUnit("own.service", fmt.Sprintf(cleaner, d.root)))
	d.Do("daemon-reload")
	lock, lockErr := "/var/lib/dpkg/lock", error(nil)
	var err error
	d.Runner, err = act.New(act.Options{Systemd: d.Watcher, Journal: d.Journal, Clock: acttest.Clock(t),
		Allow:    append(acttest.Paths(d.logs), acttest.Everything(packaged, "own.service")...),
		Packages: func() (string, error) { return lock, lockErr }})
	d.must(err)
	ran := func() bool {
		_, err := os.Stat(mark)
		return err == nil
	}
	d.put("logs/a.log.1", 10, 0)
	d.put("logs/a.log.2", 10, 1)
	d.fill()
	before := d.names()
	d.args.Cleaners, d.args.Reopen, d.args.Files = []string{packaged}, nil, nil
	d.Refused(d.request(), packaged+" is left out: a package transaction (/var/lib/dpkg/lock) may touch it", true)
	d.args.Cleaners, d.args.Reopen = nil, []string{packaged}
	d.Refused(d.request(), "is left out", true)
	lock, lockErr = "", errors.New("no table")
	d.Refused(d.request(), "cannot be known now: no table", true)

	d.args.Cleaners, d.args.Files = []string{packaged, "own.service"}, []string{"*.log.*"}
	p, err := d.Runner.Prepare(t.Context(), d.request())
	d.must(err)
	if len(p.Detail) != 3 || !strings.Contains(p.Detail[1], "no table") || !strings.HasSuffix(p.Detail[2], "a.log.1") {
		t.Errorf("plan %q", p.Detail)
	}
	lock, lockErr = "/var/lib/dpkg/lock", nil // it begins after the plan
	a, err := d.Runner.Run(t.Context(), p)
	d.must(err)
	if text := string(a.After); a.Error != "" || strings.Count(text, "is left out") != 2 || !strings.Contains(text, "ran own.service") {
		t.Errorf("%s: %s", a.Error, text)
	}
	d.lost(before, "logs/a.log.1")
	if ran() {
		t.Error("a service of a package that is at work was started")
	}
	lock = ""
	d.args.Reopen, d.args.Files = nil, nil
	if a := d.makeRoom(); !ran() || !strings.Contains(string(a.After), "ran "+packaged) {
		t.Errorf("afterwards: %s", a.After)
	}
}
