package agent

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain raises the number of tests that run side by side: they wait for systemd most of the time, each
// for its own. With configFile in its environment the test binary is an agent instead, one that can be
// killed.
func TestMain(m *testing.M) {
	if os.Getenv(configFile) != "" {
		os.Exit(beAgent())
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}
