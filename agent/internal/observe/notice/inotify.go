package notice

import "encoding/binary"

// header is the fixed part of an inotify event: watch, mask, cookie, length of the name after it.
const header = 16

// watches lists the watches that a read of an inotify descriptor tells of, in order and without direct repetitions.
func watches(b []byte) []int32 {
	var wds []int32
	for len(b) >= header {
		wd := int32(binary.NativeEndian.Uint32(b))
		name := uint64(binary.NativeEndian.Uint32(b[12:]))
		if name > uint64(len(b)-header) {
			return wds
		}
		b = b[header+int(name):]
		if len(wds) == 0 || wds[len(wds)-1] != wd {
			wds = append(wds, wd)
		}
	}
	return wds
}
