package controller

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/controller/internal/notify"
	"github.com/salveops/salve/pkg/config"
	sender "github.com/salveops/salve/pkg/notify"
)

// Check reads the configuration as a node would, and says what is wrong with it; nothing else happens.
func Check(o Options) error {
	_, err := check(o)
	return err
}

// check is Check, and gives the configuration that would be accepted.
func check(o Options) (*config.ControllerFile, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &controller{o: o, log: o.Log}
	file, err := c.load()
	if err != nil {
		return nil, err
	}
	if c.file = file; file.TLS != nil {
		if err := c.openCertificate(file.TLS); err != nil {
			return nil, err
		}
	}
	_, err = c.places(file)
	return file, err
}

// load reads the node's file; an error has every problem with its place.
func (c *controller) load() (*config.ControllerFile, error) {
	file, diags := config.LoadController(c.o.ConfigFile, config.LoadOptions{})
	if diags.HasErrors() {
		return nil, errors.New(problems(diags))
	}
	for _, w := range file.Warnings {
		c.log.Warn("configuration", "warning", config.Line(w))
	}
	return file, nil
}

// problems renders diagnostics for an error.
func problems(diags hcl.Diagnostics) string {
	var b strings.Builder
	if err := config.Render(&b, diags, false); err != nil {
		return errors.Join(diags, err).Error()
	}
	return strings.TrimRight(b.String(), "\n")
}

// dev is a configuration that needs no file: one node in a folder that goes with it.
func (c *controller) dev() error {
	dir, err := os.MkdirTemp("", "salve-controller-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	c.onStop("folder", func() error { return os.RemoveAll(dir) })
	path := dir + "/controller.hcl"
	text := fmt.Sprintf("node = \"dev\"\ndata = %q\nnotifier \"journald\" \"log\" {}\n"+
		"escalation \"default\" {\n  step {\n    notify = [\"journald.log\"]\n  }\n}\n", dir+"/data")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	c.o.ConfigFile = path
	c.log.Warn("FOR DEVELOPMENT: one node, nothing survives its end, anybody on this machine may do anything",
		"folder", dir)
	return nil
}

// reload takes over what can change while the node runs. What can refuse it comes first, and the swap last.
func (c *controller) reload() error {
	file, err := c.load()
	if err != nil {
		return err
	}
	if err := c.fixed(file); err != nil {
		return err
	}
	if err := c.reloadCertificate(); err != nil {
		return err
	}
	places, err := c.places(file)
	if err != nil {
		return err
	}
	if err := c.arbiter.Configure(file.Replicated(), true); err != nil {
		return err
	}
	c.courier.Swap(places)
	c.figures.Swap(queries(file))
	c.log.Info("configuration loaded", "digest", file.Digest)
	return nil
}

// reloads remembers how reading the file again went.
type reloads struct {
	mu       sync.Mutex
	refused  string // why the last one was refused, "": it was not
	refusals uint64
}

func (r *reloads) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused = ""; err != nil {
		r.refused, r.refusals = err.Error(), r.refusals+1
	}
}

func (r *reloads) last() (refused string, refusals uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused, r.refusals
}

// fixed refuses changes of what is opened once, at the start.
func (c *controller) fixed(file *config.ControllerFile) error {
	old := c.file
	for name, change := range map[string][2]string{
		"node": {old.Node, file.Node}, "data": {old.Data, file.Data},
		"listen": {fmt.Sprint(old.Listen), fmt.Sprint(file.Listen)}, "raft": {fmt.Sprint(old.Raft), fmt.Sprint(file.Raft)},
		"tls": {tlsFiles(old.TLS), tlsFiles(file.TLS)},
	} {
		if change[0] != change[1] {
			return fmt.Errorf("%s changed: that takes a restart of the controller", name)
		}
	}
	return nil
}

// places are this node's ways to people.
func (c *controller) places(file *config.ControllerFile) (notify.Places, error) {
	return notify.PlacesOf(file, sender.Deps{Host: file.Node}, c.log)
}

// tlsFiles is what a tls block says, which may stand elsewhere in the file.
func tlsFiles(t *config.TLS) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%q %s %s", []string{t.CA, t.Cert, t.Key, t.CAKey}, t.HostLife, t.NodeLife)
}
