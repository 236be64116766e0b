// Package require has tests say what the machine lacks for them.
package require

import (
	"os"
	"testing"
)

// That skips the test when the machine lacks something that it needs. With SALVE_TEST_REQUIRE=all, as CI sets it, it
// fails instead, so that a missing package never passes for a green test. why says what is missing and how to get it.
func That(t testing.TB, what string, ok bool, why string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("SALVE_TEST_REQUIRE") == "all":
		t.Fatalf("%s is required (SALVE_TEST_REQUIRE=all): %s", what, why)
	default:
		t.Skipf("needs %s: %s", what, why)
	}
}

// Root is That for tests of what only root can do.
func Root(t testing.TB, why string) {
	t.Helper()
	That(t, "root", os.Geteuid() == 0, why)
}
