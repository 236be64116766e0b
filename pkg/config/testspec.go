package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/script"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// Test says what the rules must do when the signals take a course. Time counts from its beginning.
type Test struct {
	Name     string
	Start    time.Time // wall clock at the beginning; default TestStart
	Labels   map[string]string
	Autonomy Autonomy // default full, whatever that of the host is
	Courses  []Course
	Changes  []TestChange
	After    []*TestAfter
	At       []*TestAt // by time
	Range    hcl.Range
}

// TestStart is when a test begins that does not say: a Monday noon.
var TestStart = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// Course is what the source of one signal says, one value every so often.
type Course struct {
	Key    series.Key
	Signal signal.Path
	Every  time.Duration
	Script script.Script
	Range  hcl.Range
}

// TestChange is something that changes in the course of a test.
type TestChange struct {
	At      time.Duration
	Kind    string // one of signal.ChangeKinds; default deployment
	Service string // "" is the host
}

// TestAfter is what becomes of the signals once a remedy ran. The first block of a remedy is for its first run, the
// second for its second, and so on; the last is for all that follow.
type TestAfter struct {
	Remedy  string
	Takes   time.Duration // how long the action takes; default: no time
	Fails   string        // the error of the action; "" it works
	Courses []Course      // from the end of the action on, instead of those before
	Range   hcl.Range
}

// TestAt is what must be so at a moment. What is nil is not looked at.
type TestAt struct {
	At        time.Duration
	Firing    *Names            // all alerts that fire: RULE or RULE{INSTANCE}
	Pending   *Names            // all alerts whose condition holds, not yet for long enough
	Blind     *Names            // all alerts whose condition cannot be known
	Attempts  *Names            // all attempts since the beginning: "REMEDY OUTCOME"
	Incidents map[string]string // state of the newest incident by service; "host" is the host's
	Would     *Names            // remedies that would have run but for autonomy, of incidents that are open
	Said      []string          // parts of sentences of the timeline
	Range     hcl.Range
}

// Names is a list in which the order counts as far as its key says so.
type Names struct {
	List  []string
	Range hcl.Range
}

// What an attempt of a test can be beside its outcomes.
const (
	TestRunning   = "running"
	TestVerifying = "verifying"
)

// TestHost stands for the host where the name of a service could stand; TestNone is the state of an incident that
// never was.
const (
	TestHost = "host"
	TestNone = "none"
)

// testOutcomes and testStates are the words of package incident, which knows this one.
func testOutcomes() []string {
	return []string{"verified", "ineffective", "worse", "inconclusive", TestRunning, TestVerifying}
}

func testStates() []string { return []string{"open", "healing", "escalated", "resolved", TestNone} }
