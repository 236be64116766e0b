package journal

import (
	"fmt"
	"runtime/debug"
)

// guard runs f and returns a panic or a fault in the mapped file as an error. The file was checked when it
// was opened, so this is for what happens later: a disk that dies, a file cut by somebody else.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errFault, p)
		}
	}()
	return f()
}
