package rollbackfiles

import (
	"fmt"

	"github.com/salveops/salve/agent/internal/snapshot"
)

// change is one file that is not the same in two states.
type change struct {
	name     string
	from, to *snapshot.File // nil: it is not there
}

// diff are the files that are not the same.
func diff(from, to *snapshot.Manifest) []change {
	var out []change
	for _, f := range from.Files {
		if t := to.File(f.Name); !same(&f, t) {
			out = append(out, change{f.Name, &f, t})
		}
	}
	for _, t := range to.Files {
		if from.File(t.Name) == nil {
			out = append(out, change{t.Name, nil, &t})
		}
	}
	return out
}

func same(a, b *snapshot.File) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// between reports whether each file is now as it is in one of the two states: what an attempt leaves that died.
func between(now, from, to *snapshot.Manifest) bool {
	for _, c := range diff(now, from) {
		if !same(c.from, to.File(c.name)) {
			return false
		}
	}
	return true
}

// String is the line for who asks before it is done. It shows nothing of what is in the file.
func (c change) String() string {
	switch {
	case c.to == nil:
		return fmt.Sprintf("remove %s (%d bytes), which was not there", c.name, c.from.Size)
	case c.from == nil:
		return fmt.Sprintf("make %s again (%d bytes)", c.name, c.to.Size)
	case c.from.Digest != c.to.Digest:
		return fmt.Sprintf("put %s back (%d bytes instead of %d)", c.name, c.to.Size, c.from.Size)
	}
	return fmt.Sprintf("put mode, owner and attributes of %s back (%04o %d:%d instead of %04o %d:%d)", c.name, c.to.Mode, c.to.UID, c.to.GID,
		c.from.Mode, c.from.UID, c.from.GID)
}
