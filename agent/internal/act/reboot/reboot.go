// Package reboot is the kind of remedy that reboots the host: the last resort. It asks logind, which shuts the host down in
// order and knows who must not be interrupted. That it took place is told by the next process, by the identity of the boot.
package reboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

const (
	// day is what per_day counts in.
	day = 24 * time.Hour
	// look is how often it is looked whether the host goes down.
	look = 50 * time.Millisecond
)

// Kind reboots the host. Make it with New.
type Kind struct {
	*kind.Host
	kind.NoUndo
	root string // prefix of the kernel's files; "" on a real host
	// patience bounds what is asked of logind, which answers at once or not at all, and how long after its yes the host
	// may look as if nothing were to come.
	patience time.Duration
}

// New prepares the kind.
func New(h *kind.Host) Kind { return Kind{Host: h, patience: 5 * time.Second} }

func argsOf(q kind.Request) *remedy.RebootArgs { return q.Remedy.Args.(*remedy.RebootArgs) }

// Target implements kind.Kind.
func (Kind) Target(context.Context, kind.Request) (string, error) { return remedy.ThisHost, nil }

// Describe implements kind.Kind.
func (k Kind) Describe(s *kind.Step) string {
	if b, ok := s.Before.(boot); ok {
		return fmt.Sprintf("reboot the host through logind, which ends boot %s after %s", b, k.age(b))
	}
	return "reboot the host through logind"
}

func (k Kind) age(b boot) time.Duration { return (k.Clock.Now().Boot - b.Began).Round(time.Second) }

// Precheck implements kind.Kind: whatever is not known stands in the way.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	if !k.Reboots {
		return kind.Refuse("a reboot needs the permit of a controller, and a systemd that is the host's own: this agent lacks one of them")
	}
	now, err := booted(k.root)
	if err != nil {
		return kind.Unknown("the boot of this host", err)
	}
	if least := argsOf(s.Request).MinUptime; k.age(now) < least {
		return kind.Postpone("this host was booted %s ago; a boot that is younger than %s is left alone", k.age(now), least)
	}
	s.Before = now
	if err := k.resting(); err != nil {
		return err
	}
	if err := k.history(s); err != nil {
		return err
	}
	if err := k.hands(ctx, s); err != nil {
		return err
	}
	return k.ask(ctx, s)
}

// resting refuses while the host is on its way up or down, or its packages are.
func (k Kind) resting() error {
	switch state := k.Systemd.SystemState(); state {
	case "running", "degraded":
	case "":
		return kind.Unknown("the state of the system", systemd.ErrDisconnected)
	case "stopping":
		return kind.Refuse("the system is shutting down")
	default:
		return kind.Postpone("the system is %s", state)
	}
	file, err := k.Packages()
	switch {
	case err != nil:
		return kind.Unknown("whether a package transaction runs", err)
	case file != "":
		return kind.Postpone("a package transaction runs: %s is locked", file)
	}
	return nil
}

// history refuses beside another attempt, and after too many reboots. The clock of the day may have jumped since those:
// then it is the age of this boot that keeps the next one away.
func (k Kind) history(s *kind.Step) error {
	attempts, err := k.Attempts(day)
	if err != nil {
		return kind.Unknown("what ran on this host", err)
	}
	n, most := 0, argsOf(s.Request).PerDay
	for _, a := range attempts {
		switch {
		case a.ID == s.Attempt.ID:
		case a.Open():
			return kind.Postpone("%s on %s is not over", a.Remedy, a.Target)
		case a.Kind == string(remedy.Reboot) && a.Phase != incident.Refused:
			n++
		}
	}
	if n >= most {
		return kind.Refuse("reboot ran %d times on this host in the last %s; limit %d", n, day, most)
	}
	s.Detail = append(s.Detail, fmt.Sprintf("reboots by Salve in the last %s: %d of %d", day, n, most))
	return nil
}

// hands refuses what a boot would turn on again that a person stopped, and lists what is away meanwhile.
func (k Kind) hands(ctx context.Context, s *kind.Step) error {
	for _, u := range k.Systemd.Units() {
		switch {
		case u.Active == "active" || u.Active == "reloading":
			s.Detail = append(s.Detail, u.Name+" is away until the host is back")
		case u.Down() && u.Stopped == systemd.Person:
			wanted, err := k.wanted(ctx, u)
			if err != nil {
				return kind.Unknown("whether a boot starts "+u.Name, err)
			}
			if wanted {
				return kind.Refuse("%s was stopped by a person, and a boot would start it again", u.Name)
			}
		}
	}
	return nil
}

// wanted reports whether another unit brings the unit up at boot.
func (k Kind) wanted(ctx context.Context, u systemd.Unit) (bool, error) {
	c, err := k.Systemd.Conn()
	if err != nil {
		return false, err
	}
	p, err := c.GetUnitPropertyContext(ctx, u.Name, "WantedBy")
	if err != nil {
		return false, err
	}
	by, ok := p.Value.Value().([]string)
	return len(by) > 0 || !ok || len(u.RequiredBy) > 0, nil
}

// ask looks for what logind knows to stand in the way.
func (k Kind) ask(ctx context.Context, s *kind.Step) error {
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	l, err := dial(ctx)
	if err != nil {
		return kind.Unknown("whether something must not be interrupted", err)
	}
	defer l.close()
	delays, err := l.free(ctx)
	for _, d := range delays {
		s.Detail = append(s.Detail, d+" is told before, and given some seconds")
	}
	return err
}

// Act implements kind.Kind. It does not end well in this process: once the host goes down the rest is the next one's.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	select {
	case <-s.Halt:
		return errors.New("nothing was done: the agent stops")
	default:
	}
	l, err := dial(ctx)
	if err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	defer l.close()
	asked, cancel := context.WithTimeout(ctx, k.patience)
	err = l.reboot(asked)
	cancel()
	if refused(err) {
		return fmt.Errorf("logind refuses to reboot the host: %w", err)
	}
	return k.await(ctx, s, l, err)
}

// await watches the host go down after logind was asked, until this process is told to end. doubt is why logind's answer
// is not known, nil: it agreed.
func (k Kind) await(ctx context.Context, s *kind.Step, l *logind, doubt error) error {
	last := k.Clock.Now().Boot // when it was going down, as far as somebody knows
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		going, err := k.going(ctx, l)
		now := k.Clock.Now().Boot
		if going || err != nil {
			last = now
		}
		select {
		case <-s.Halt:
			if going || err != nil {
				return kind.ErrUnderWay
			}
		case <-ctx.Done():
			return fmt.Errorf("%w: the host does not come to its end", kind.ErrLost)
		case <-ticker.C:
			if now-last < k.patience {
				continue
			}
		}
		if doubt != nil {
			return fmt.Errorf("%w: %w", kind.ErrLost, doubt)
		}
		return errors.New("logind agreed, but the host does not go down")
	}
}

// going reports whether the host is going down. After an error nobody knows.
func (k Kind) going(ctx context.Context, l *logind) (bool, error) {
	if k.Systemd.SystemState() == "stopping" {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.patience)
	defer cancel()
	return l.preparing(ctx)
}

// Settle implements kind.Kind: another boot than that of the intent tells that it took place.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var was boot
	if err := json.Unmarshal(a.Before, &was); err != nil || was == (boot{}) {
		return incident.Unknown, "there is no evidence from before"
	}
	now, err := booted(k.root)
	if err != nil {
		return incident.Unknown, fmt.Sprintf("which boot this is cannot be known: %v", err)
	}
	if now != was {
		return incident.Acted, fmt.Sprintf("the host was rebooted: boot %s is over, and boot %s began %s ago", was, now, k.age(now))
	}
	l, err := dial(ctx)
	if err != nil {
		return incident.Unknown, fmt.Sprintf("it is still boot %s, and whether it is about to end cannot be known: %v", was, err)
	}
	defer l.close()
	if !kind.Eventually(ctx, look, func() bool { going, err := k.going(ctx, l); return !going && err == nil }) {
		return incident.Unknown, fmt.Sprintf("it is still boot %s, and whether it is about to end cannot be told", was)
	}
	a.Error = fmt.Sprintf("the host was not rebooted: it is still boot %s, and nothing ends it", was)
	return incident.Acted, a.Error
}

// Quiet implements kind.Kind: a boot that is going down is not quiet, and what cannot be known is not either.
func (k Kind) Quiet(a *incident.Attempt) bool {
	var was boot
	now, err := booted(k.root)
	if err != nil || json.Unmarshal(a.Before, &was) != nil {
		return false
	}
	return now != was || k.Systemd.Connected() && k.Systemd.SystemState() != "stopping"
}
