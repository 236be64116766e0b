package unit

import (
	"path/filepath"

	"github.com/salveops/salve/agent/internal/observe/procfile"
)

// sunkBy is how much less memory the host has to have, in KiB, for the units' own figures to be read ahead of their
// period. It is more than what moves on an idle host, and less than a leak that cannot wait for a second.
const sunkBy = 4 << 10

// reserve watches the memory that the host can still give away. While it does not sink no unit grows, unless others
// shrink by as much just then; so one small file tells that a hundred need not be read.
type reserve struct {
	file *procfile.File
	most uint64 // KiB: the most that was there since it was last seen to have sunk; 0: never asked
}

func newReserve(root string) reserve {
	return reserve{file: procfile.New(filepath.Join("/", root, "proc/meminfo"))}
}

// sunk reports whether the host has less memory left than before. It does not know the first time, and where the kernel
// does not tell; then it says yes.
func (r *reserve) sunk(buf []byte) bool {
	text, err := r.file.Read(buf)
	left, ok := procfile.Value(text, "MemAvailable")
	if err != nil || !ok {
		return true
	}
	if r.most == 0 || left+sunkBy <= r.most {
		r.most = left
		return true
	}
	r.most = max(r.most, left)
	return false
}
