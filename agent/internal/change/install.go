package change

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/config"
)

// packages looks what package managers did.
func (w *Watcher) packages(units []systemd.Unit, owners map[string]*config.Service, dirs map[string]bool) {
	read := map[string]bool{}
	for _, m := range managers {
		dir := filepath.Join("/", w.o.Root, m.dir)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		dirs[dir] = true
		if !read[m.log] {
			read[m.log] = true
			w.readLog(m, units, owners)
		}
	}
	if len(w.open) == 0 {
		return
	}
	if holder, err := transaction.New(w.o.Root).Holder(); err == nil && holder != "" {
		return
	}
	for _, service := range slices.Sorted(maps.Keys(w.open)) {
		x := w.open[service]
		x.Open = false
		w.o.Log.put(x)
	}
	w.open, w.names = nil, nil
}

// readLog enters what is new in a package manager's log.
func (w *Watcher) readLog(m manager, units []systemd.Unit, owners map[string]*config.Service) {
	path := filepath.Join("/", w.o.Root, m.log)
	was := w.seen.Packages[path]
	steps, now, err := read(path, was, m)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !w.failed[path] {
			w.failed[path] = true
			w.o.Logger.Warn("the log of a package manager cannot be read: it is not known what it changes", "path", path, "error", err)
		}
		return
	}
	if now != was {
		w.seen.Packages[path], w.changed = now, true
	}
	if len(steps) == 0 {
		return
	}
	if w.open == nil {
		w.open, w.names = map[string]Change{}, map[string][]string{}
	}
	touched := map[string]bool{}
	for _, s := range steps {
		for _, service := range w.servicesOf(s.name, units, owners) {
			if !slices.Contains(w.names[service], s.text) {
				w.names[service], touched[service] = append(w.names[service], s.text), true
			}
		}
	}
	for _, service := range slices.Sorted(maps.Keys(touched)) {
		x := w.open[service]
		x.Kind, x.Service, x.Open, x.Text = "package", service, true, sentence(w.names[service])
		w.open[service] = w.put(x)
	}
}

// servicesOf are the services whose unit files a package brings; the host ("") where it brings none.
func (w *Watcher) servicesOf(pkg string, units []systemd.Unit, owners map[string]*config.Service) []string {
	var files []string
	for _, u := range units {
		if owners[u.Name] != nil && transaction.Touches(u.FragmentPath) {
			files = append(files, u.FragmentPath)
		}
	}
	var out []string
	owned := owns(w.o.Root, pkg, files)
	for _, u := range units {
		if s := owners[u.Name]; s != nil && slices.Contains(owned, u.FragmentPath) && !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	if len(out) == 0 {
		out = []string{""}
	}
	return out
}
