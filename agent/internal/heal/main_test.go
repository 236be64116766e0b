package heal

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// A history with a controller takes a second or two under the race detector. -rapid.checks=1000 looks for longer.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
