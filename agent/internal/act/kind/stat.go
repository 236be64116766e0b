package kind

import "bytes"

// StatField is a field of a /proc/PID/stat by its number in proc(5), from the third on; "": it has no such field. They are
// counted from behind the program's name, which may hold anything and ends with the last parenthesis.
func StatField(stat []byte, n int) string {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if n < 3 || n-3 >= len(fields) {
		return ""
	}
	return string(fields[n-3])
}
