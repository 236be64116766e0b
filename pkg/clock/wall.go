package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TestVariable makes the wall clock of a process jump, which Linux has no namespace for. If the environment holds it
// when the process starts, it names a file with the duration by which the wall clock is wrong, such as "-36h"; no file,
// or an empty one, is 0. The file is read again while the process runs. Nothing but the wall clock moves, and the
// process says loudly that it is so: the variable is for tests of whole hosts.
const TestVariable = "SALVE_TEST_CLOCK"

// rereadEvery is how long a jump may stay unseen.
const rereadEvery = 100 * time.Millisecond

// Wall is the time of day. Certificates, tokens, schedules, and every stamp that people read go by it; how long
// something took, and when to try again, go by time.Now, which measures whatever happens to the wall clock.
func Wall() time.Time {
	if s := ofTest(); s != nil {
		return s.now()
	}
	return time.Now()
}

// Announce says in a program's log that its wall clock is a test's, and from then on how it jumps. Elsewise it says nothing.
func Announce(log hclog.Logger) {
	if s := ofTest(); s != nil {
		s.announce(log)
	}
}

// ofTest is the one shift of this process, nil if the environment asks for none.
var ofTest = sync.OnceValue(func() *shift {
	if path := os.Getenv(TestVariable); path != "" {
		return &shift{path: path, log: hclog.Default()}
	}
	return nil
})

// shift is a wall clock that is wrong by what a file says.
type shift struct {
	path string

	mu     sync.Mutex
	log    hclog.Logger
	looked time.Time // zero: never
	by     time.Duration
	failed string // why the file could not be used, "": it could
}

func (s *shift) announce(log hclog.Logger) {
	s.mu.Lock()
	s.log = log
	s.mu.Unlock()
	log.Warn("FOR TESTS ONLY: the wall clock of this process is what a file makes of it", "variable", TestVariable,
		"file", s.path, "by", s.now().Sub(time.Now().Round(0)).Round(time.Second))
}

// now has no monotonic reading: the difference of two shows the jump, as it would across processes.
func (s *shift) now() time.Time {
	s.mu.Lock()
	now := time.Now()
	tell := func() {}
	if s.looked.IsZero() || now.Sub(s.looked) >= rereadEvery {
		s.looked = now
		tell = s.look()
	}
	by := s.by
	s.mu.Unlock()
	tell() // outside of the lock: a log stamps its lines by this clock
	return now.Round(0).Add(by)
}

// look reads the file, and gives what is to be said about it.
func (s *shift) look() (tell func()) {
	by, err := readShift(s.path)
	before, failed, log := s.by, s.failed, s.log
	s.by, s.failed = by, ""
	switch {
	case err != nil:
		if s.failed = err.Error(); s.failed != failed {
			return func() { log.Error("the wall clock is the real one: its file cannot be used", "error", err) }
		}
	case by != before:
		return func() { log.Warn("the wall clock jumps, as its file says", "from", before, "to", by) }
	}
	return func() {}
}

func readShift(path string) (time.Duration, error) {
	text, err := os.ReadFile(path)
	switch trimmed := strings.TrimSpace(string(text)); {
	case errors.Is(err, fs.ErrNotExist), err == nil && trimmed == "":
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read %s: %w", TestVariable, err)
	default:
		by, err := time.ParseDuration(trimmed)
		if err != nil {
			return 0, fmt.Errorf("read %s: %s: %w", TestVariable, path, err)
		}
		return by, nil
	}
}
