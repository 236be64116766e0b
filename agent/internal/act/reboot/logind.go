package reboot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/agent/internal/act/kind"
)

const (
	service = "org.freedesktop.login1"
	manager = service + ".Manager"
	path    = dbus.ObjectPath("/org/freedesktop/login1")

	// checkRoot has logind honour inhibitors also when root asks.
	checkRoot = uint64(1)
	// maxListed bounds what is read of a session or an inhibitor's words, in letters.
	maxListed = 80
)

// logind is a connection to systemd-logind, which knows who must not be interrupted.
type logind struct {
	conn *dbus.Conn
}

// dial connects over the system bus. The connection is for one question and its end; ctx bounds its life.
func dial(ctx context.Context) (*logind, error) {
	c, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return &logind{conn: c}, nil
}

func (l *logind) close() { _ = l.conn.Close() }

func (l *logind) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return l.conn.Object(service, path).CallWithContext(ctx, manager+"."+method, 0, args...)
}

// inhibitor is a lock that somebody holds.
type inhibitor struct {
	What, Who, Why, Mode string
	UID, PID             uint32
}

func (i inhibitor) String() string {
	return fmt.Sprintf("%s (%s, process %d)", clip(i.Who), clip(i.Why), i.PID)
}

// shutdown reports whether the lock is about shutting down.
func (i inhibitor) shutdown() bool {
	for what := range strings.SplitSeq(i.What, ":") {
		if what == "shutdown" {
			return true
		}
	}
	return false
}

// free says why logind's part of the host must be left alone, by who holds it up; and which locks only delay.
func (l *logind) free(ctx context.Context) (delays []string, err error) {
	var list []inhibitor
	if err := l.call(ctx, "ListInhibitors").Store(&list); err != nil {
		return nil, kind.Unknown("whether something must not be interrupted", err)
	}
	for _, i := range list {
		switch {
		case !i.shutdown():
		case i.Mode == "delay":
			delays = append(delays, i.String())
		default: // "block", "block-weak", and whatever comes later
			return nil, kind.Postpone("%s must not be interrupted", i)
		}
	}
	who, err := l.user(ctx)
	if err != nil {
		return nil, kind.Unknown("whether somebody is logged in", err)
	}
	if who != "" {
		return nil, kind.Postpone("%s: a person may be at work here", who)
	}
	var can string
	if err := l.call(ctx, "CanReboot").Store(&can); err != nil {
		return nil, kind.Unknown("whether this host can be rebooted", err)
	}
	if can != "yes" {
		return nil, kind.Refuse("logind would not let the agent reboot this host (it says %q): polkit gives that leave where an allow "+
			"block has host = true", clip(can))
	}
	return delays, nil
}

// user is a session of somebody who is logged in, in words; "": nobody is.
func (l *logind) user(ctx context.Context) (string, error) {
	var sessions []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	if err := l.call(ctx, "ListSessions").Store(&sessions); err != nil {
		return "", err
	}
	for _, s := range sessions {
		class, err := l.property(ctx, s.Path, service+".Session", "Class")
		var gone dbus.Error
		switch {
		case errors.As(err, &gone) && gone.Name == "org.freedesktop.DBus.Error.UnknownObject": // it ended meanwhile
		case err != nil:
			return "", err
		case strings.HasPrefix(fmt.Sprint(class), "user"): // not cron's, a greeter's or a manager's
			return fmt.Sprintf("%s is logged in (session %s)", clip(s.User), clip(s.ID)), nil
		}
	}
	return "", nil
}

// reboot asks for it. Unless the error is that it was refused, nobody knows.
func (l *logind) reboot(ctx context.Context) error {
	err := l.call(ctx, "RebootWithFlags", checkRoot).Err
	var no dbus.Error
	if errors.As(err, &no) && no.Name == "org.freedesktop.DBus.Error.UnknownMethod" { // before systemd 249
		return l.call(ctx, "Reboot", false).Err
	}
	return err
}

// refused reports whether the error is an answer, and so a no: the bus answers in the stead of who is gone.
func refused(err error) bool {
	var no dbus.Error
	if !errors.As(err, &no) {
		return false
	}
	switch strings.TrimPrefix(no.Name, "org.freedesktop.DBus.Error.") {
	case "NoReply", "Timeout", "TimedOut", "Disconnected":
		return false
	}
	return true
}

// preparing reports whether logind has begun to shut the host down.
func (l *logind) preparing(ctx context.Context) (bool, error) {
	v, err := l.property(ctx, path, manager, "PreparingForShutdown")
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("PreparingForShutdown is a %T", v)
	}
	return b, nil
}

func (l *logind) property(ctx context.Context, of dbus.ObjectPath, iface, name string) (any, error) {
	var v dbus.Variant
	err := l.conn.Object(service, of).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, name).Store(&v)
	return v.Value(), err
}

// clip bounds words of others.
func clip(s string) string {
	r := []rune(s)
	if len(r) > maxListed {
		return string(r[:maxListed]) + "…"
	}
	return s
}
