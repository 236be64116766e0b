package systemd

import (
	"math"
	"time"
	"unique"

	"golang.org/x/sys/unix"
)

// Stopper says who brought a unit down.
type Stopper string

// Stoppers. The zero value means that the unit is up, or that nothing is known to have stopped it.
const (
	Person     Stopper = "person"     // a stop job that was not Salve's; or found inactive at first sight
	Dependency Stopper = "dependency" // stopped along with a unit that it requires, binds to or is part of
	Salve      Stopper = "salve"      // a job of package act
	Itself     Stopper = "itself"     // its processes ended without any stop job, or it failed to start
)

// Unit is what is known of one unit. Times are on CLOCK_BOOTTIME; zero means never.
type Unit struct {
	Name         string // primary name; aliases lead here
	Load         string // "loaded", "not-found", "masked", "error", "bad-setting"
	Active       string // "active", "reloading", "inactive", "failed", "activating", "deactivating"
	Sub          string // "running", "dead", "auto-restart", …
	Result       string // "success", "exit-code", "signal", "oom-kill", "start-limit-hit", …; services only
	InvocationID string // 32 hex digits, new at each start; "" when never started
	ControlGroup string // "" when nothing of it ever ran
	FragmentPath string
	DropInPaths  []string
	ExecStart    string // path of the first program that a start runs; services only
	Restart      string // "no", "always", "on-failure", …
	Type         string // "simple", "notify", "oneshot", …
	CanReload    bool
	MainPID      int    // 0: none
	Job          uint32 // queued or running job; 0: none
	NRestarts    uint32 // systemd's own automatic restarts

	ActiveEnter, InactiveEnter time.Duration
	Changed                    time.Duration // last change of Active or Sub
	ExecMainStart              time.Duration

	ExecMainCode, ExecMainStatus int32

	Requires, Requisite, BindsTo, PartOf []string // what can pull this unit down, or up with it
	RequiredBy, BoundBy, ConsistsOf      []string // what a stop or restart of this unit takes along
	Conflicts, ConflictedBy              []string // what a start of this unit stops
	PropagatesStopTo                     []string
	PropagatesReloadTo                   []string

	Stopped Stopper // who brought it down; "" while it is up

	arrivals uint64 // the table's count when the dependencies were read
	heard    uint64 // the table's count at the last signal of this unit, or when this was asked for
}

// Down reports whether nothing of the unit is running or about to.
func (u Unit) Down() bool { return down(u.Active) }

// AutoRestart reports whether systemd is about to start the unit again by itself.
func (u Unit) AutoRestart() bool { return u.Sub == "auto-restart" || u.Sub == "auto-restart-queued" }

func down(active string) bool { return active == "inactive" || active == "failed" || active == "" }

// changed are the properties that arrive in signals: how each moves into a Unit.
var changed = map[string]func(*Unit, any, time.Duration){
	"ActiveState":                     func(u *Unit, v any, _ time.Duration) { set(&u.Active, v) },
	"SubState":                        func(u *Unit, v any, _ time.Duration) { set(&u.Sub, v) },
	"Result":                          func(u *Unit, v any, _ time.Duration) { set(&u.Result, v) },
	"InvocationID":                    func(u *Unit, v any, _ time.Duration) { setID(&u.InvocationID, v) },
	"MainPID":                         func(u *Unit, v any, _ time.Duration) { setPID(&u.MainPID, v) },
	"Job":                             func(u *Unit, v any, _ time.Duration) { setJob(&u.Job, v) },
	"NRestarts":                       func(u *Unit, v any, _ time.Duration) { set(&u.NRestarts, v) },
	"ExecMainCode":                    func(u *Unit, v any, _ time.Duration) { set(&u.ExecMainCode, v) },
	"ExecMainStatus":                  func(u *Unit, v any, _ time.Duration) { set(&u.ExecMainStatus, v) },
	"ActiveEnterTimestampMonotonic":   func(u *Unit, v any, off time.Duration) { setTime(&u.ActiveEnter, v, off) },
	"InactiveEnterTimestampMonotonic": func(u *Unit, v any, off time.Duration) { setTime(&u.InactiveEnter, v, off) },
	"StateChangeTimestampMonotonic":   func(u *Unit, v any, off time.Duration) { setTime(&u.Changed, v, off) },
	"ExecMainStartTimestampMonotonic": func(u *Unit, v any, off time.Duration) { setTime(&u.ExecMainStart, v, off) },
}

// fixed are the properties that change only with a daemon-reload or a first start, and are read then.
var fixed = map[string]func(*Unit, any){
	"Id":                 func(u *Unit, v any) { set(&u.Name, v) },
	"LoadState":          func(u *Unit, v any) { set(&u.Load, v) },
	"ControlGroup":       func(u *Unit, v any) { set(&u.ControlGroup, v) },
	"FragmentPath":       func(u *Unit, v any) { set(&u.FragmentPath, v) },
	"DropInPaths":        func(u *Unit, v any) { setNames(&u.DropInPaths, v) },
	"ExecStart":          func(u *Unit, v any) { setProgram(&u.ExecStart, v) },
	"Restart":            func(u *Unit, v any) { set(&u.Restart, v) },
	"Type":               func(u *Unit, v any) { set(&u.Type, v) },
	"CanReload":          func(u *Unit, v any) { set(&u.CanReload, v) },
	"Requires":           func(u *Unit, v any) { setNames(&u.Requires, v) },
	"Requisite":          func(u *Unit, v any) { setNames(&u.Requisite, v) },
	"BindsTo":            func(u *Unit, v any) { setNames(&u.BindsTo, v) },
	"PartOf":             func(u *Unit, v any) { setNames(&u.PartOf, v) },
	"RequiredBy":         func(u *Unit, v any) { setNames(&u.RequiredBy, v) },
	"BoundBy":            func(u *Unit, v any) { setNames(&u.BoundBy, v) },
	"ConsistsOf":         func(u *Unit, v any) { setNames(&u.ConsistsOf, v) },
	"Conflicts":          func(u *Unit, v any) { setNames(&u.Conflicts, v) },
	"ConflictedBy":       func(u *Unit, v any) { setNames(&u.ConflictedBy, v) },
	"PropagatesStopTo":   func(u *Unit, v any) { setNames(&u.PropagatesStopTo, v) },
	"PropagatesReloadTo": func(u *Unit, v any) { setNames(&u.PropagatesReloadTo, v) },
}

// set leaves the field alone when the value has another type: a property that a later systemd
// changes must not take the agent down.
func set[T any](field *T, v any) {
	if text, ok := v.(string); ok {
		v = own(text)
	}
	if x, ok := v.(T); ok {
		*field = x
	}
}

func setNames(field *[]string, v any) {
	if names, ok := v.([]string); ok {
		*field = make([]string, len(names))
		for i, name := range names {
			(*field)[i] = own(name)
		}
	}
}

// setProgram takes the path out of the first of a list of commands.
func setProgram(field *string, v any) {
	if commands, ok := v.([][]any); ok && len(commands) > 0 && len(commands[0]) > 0 {
		set(field, commands[0][0])
	}
}

// own is a text as it may be kept. What the D-Bus library decodes is a piece of 4 KiB of the message, all of which it would
// keep in memory; and most texts are those of many units.
func own[T ~string](text T) T { return T(unique.Make(string(text)).Value()) }

func setPID(field *int, v any) {
	if pid, ok := v.(uint32); ok {
		*field = int(pid)
	}
}

func setJob(field *uint32, v any) {
	if job, ok := v.([]any); ok && len(job) == 2 {
		set(field, job[0])
	}
}

func setID(field *string, v any) {
	const digits = "0123456789abcdef"
	id, ok := v.([]byte)
	if !ok {
		return
	}
	text := make([]byte, 0, 2*len(id))
	for _, b := range id {
		text = append(text, digits[b>>4], digits[b&15])
	}
	*field = string(text)
}

func setTime(field *time.Duration, v any, offset time.Duration) {
	switch us, ok := v.(uint64); {
	case !ok:
	case us == 0:
		*field = 0
	default:
		*field = time.Duration(us)*time.Microsecond + offset
	}
}

// bootOffset is what CLOCK_BOOTTIME is ahead of the CLOCK_MONOTONIC that systemd stamps with: the time
// spent in suspend so far. A stamp from before a suspend comes out too late by that suspend.
func bootOffset() time.Duration {
	return ahead(func(clock int32) int64 {
		var now unix.Timespec
		_ = unix.ClockGettime(clock, &now) // these two are always there
		return now.Nano()
	})
}

// ahead is bootOffset by that clock.
func ahead(now func(clock int32) int64) time.Duration {
	var offset int64
	for try, least := 0, int64(math.MaxInt64); try < 100 && least >= closeEnough; try++ {
		before := now(unix.CLOCK_MONOTONIC)
		boot := now(unix.CLOCK_BOOTTIME)
		if apart := now(unix.CLOCK_MONOTONIC) - before; apart < least {
			least, offset = apart, boot-before
		}
	}
	return time.Duration(offset).Truncate(time.Millisecond)
}

// closeEnough is how many nanoseconds may be between looks at two clocks, without a suspend, that are not to look like one: this
// process may have to wait in between for its turn on a busy host.
const closeEnough = int64(500 * time.Microsecond)
