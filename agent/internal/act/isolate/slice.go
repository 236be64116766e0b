package isolate

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
)

// slice is a slice of systemd's in which all of a service runs. The packet filter knows it by its control group's number, which
// outlives restarts of the units in it, as that of a unit's own control group does not. The kernel gives no number twice.
type slice struct {
	Name  string `json:"name"`
	Group uint64 `json:"group"`
	Level int    `json:"level"` // how deep the control group lies below the root
}

// sliceOf finds the slice, and refuses one that would cut off nothing of the service, or but a part of it.
func (k Kind) sliceOf(ctx context.Context, s *config.Service, name string) (*slice, error) {
	if !k.Systemd.Connected() {
		return nil, kind.Unknown("what runs in "+name, systemd.ErrDisconnected)
	}
	group := ""
	for _, unitName := range k.Systemd.Match(s.Unit) {
		if !s.Covers(unitName) {
			continue
		}
		u, err := k.Systemd.Read(ctx, unitName) // the slice is another one after a change and a restart
		switch above, _, inside := strings.Cut(u.ControlGroup, "/"+name+"/"); {
		case err != nil:
			return nil, kind.Unknown("in which slice "+unitName+" runs", err)
		case u.Down() || u.ControlGroup == "":
		case !inside:
			return nil, kind.Refuse("%s runs in %s, so that it would not be cut off with %s: Slice= belongs into its unit",
				unitName, path.Dir(u.ControlGroup), name)
		default:
			group = above + "/" + name
		}
	}
	if group == "" {
		return nil, kind.Refuse("nothing of the service runs in %s", name)
	}
	folder, level, err := unit.Unified(group)
	var st unix.Stat_t
	if err == nil {
		err = unix.Stat(folder, &st)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, kind.Refuse("the packet filter knows %s by its control group of version 2 alone: %v", name, err)
	case err != nil:
		return nil, kind.Unknown("the control group of "+name, err)
	}
	return &slice{Name: name, Group: st.Ino, Level: level}, nil
}
