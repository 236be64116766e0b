package unit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Limiter changes resource limits of a running unit. systemd's answer is not believed: its success says
// that it wrote the value down, so the kernel's own file is read afterwards.
type Limiter struct{ Units }

// limitUndo is what taking limits back needs.
type limitUndo struct {
	Runtime bool             `json:"runtime"`
	Old     map[string]value `json:"old"` // by the name in unit files
	// Kept are the drop-in files that were there before: they stay.
	Kept []string `json:"kept,omitempty"`
}

// limitEvidence is what the properties were, and what the kernel said, before or after.
type limitEvidence struct {
	unitEvidence
	Values map[string]value  `json:"values"`
	Kernel map[string]string `json:"kernel,omitempty"`
}

func propertyArgs(s *kind.Step) *remedy.PropertyArgs { return s.Remedy.Args.(*remedy.PropertyArgs) }

func (Limiter) Describe(s *kind.Step) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(propertyArgs(s).Properties)) {
		words = append(words, name+"="+propertyArgs(s).Properties[name])
	}
	text := fmt.Sprintf("set %s of %s", strings.Join(words, " "), s.Target)
	if propertyArgs(s).For > 0 {
		text += " for " + propertyArgs(s).For.String()
	}
	return text
}

func (k Limiter) Precheck(ctx context.Context, s *kind.Step) error {
	if propertyArgs(s).For > 0 && !k.Helper.Present() {
		return kind.Refuse("the limit is to end after %v also if nobody is left to end it, which takes the helper of root's: "+
			"systemctl enable --now salve-agent-helper.socket, or leave out \"for\"", propertyArgs(s).For)
	}
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	if timer := helper.Timer(u.Name); k.Systemd.Active(timer) == "active" {
		return kind.Refuse("%s has a limit already that ends by itself, with %s", u.Name, timer)
	}
	// What it has now may be a throttle: to put that back would make it last, and the end of the throttle would put back
	// what was before both.
	switch shed, err := k.InForce(remedy.Shed, u.Name); {
	case err != nil:
		return kind.Unknown("what was done to "+u.Name, err)
	case shed:
		return kind.Refuse("%s is shed for a time, and its limits stay as they are until that is over", u.Name)
	}
	wanted, err := wantedValues(propertyArgs(s).Properties)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		return kind.Refuse("set_property names no property")
	}
	l, err := limitsOf(u.Name, u.ControlGroup, k.Systemd.ControlGroup())
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		set, _ := lookupSetting(name)
		if err := l.works(set); err != nil {
			return err
		}
	}
	old, err := k.values(ctx, u.Name, wanted)
	if err != nil {
		return kind.Unknown("the limits of "+u.Name, err)
	}
	dropIns, err := k.dropIns(ctx, u.Name)
	if err != nil {
		return kind.Unknown("the drop-ins of "+u.Name, err)
	}
	s.Before = limitEvidence{unitEvidence: evidenceOf(u), Values: old}
	s.Undo = limitUndo{Runtime: propertyArgs(s).Runtime, Old: old, Kept: dropIns}
	s.For = propertyArgs(s).For
	return nil
}

func wantedValues(properties map[string]string) (map[string]value, error) {
	wanted := make(map[string]value, len(properties))
	for name, text := range properties {
		set, err := lookupSetting(name)
		if err != nil {
			return nil, kind.Refuse("%v", err)
		}
		if wanted[name], err = set.parse(text); err != nil {
			return nil, kind.Refuse("%s=%s: %v", name, text, err)
		}
	}
	return wanted, nil
}

func (k Limiter) Act(ctx context.Context, s *kind.Step) error {
	wanted, err := wantedValues(propertyArgs(s).Properties)
	if err != nil {
		return err
	}
	if _, err := k.give(ctx, order.Order{Verb: order.SetProperty, Unit: s.Target, Properties: wanted,
		Runtime: propertyArgs(s).Runtime, For: propertyArgs(s).For}); err != nil {
		return err
	}
	u, err := k.look(ctx, s.Target)
	if err != nil {
		return err
	}
	l, err := limitsOf(u.Name, u.ControlGroup, k.Systemd.ControlGroup())
	if err != nil {
		return err
	}
	after := limitEvidence{unitEvidence: evidenceOf(u), Values: wanted, Kernel: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		after.Kernel[name], err = l.took(ctx, name, wanted[name])
		if err != nil {
			break
		}
	}
	s.After = after
	return err
}

// effectWait is how long the kernel's files may take to show a new limit: systemd moves a unit into a
// controller's hierarchy only after it has answered.
const effectWait = time.Second

// took waits for the kernel to show the wanted value.
func (l limits) took(ctx context.Context, name string, want value) (string, error) {
	set, err := lookupSetting(name)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, effectWait)
	defer cancel()
	var text, file string
	if kind.Eventually(ctx, 2*time.Millisecond, func() bool {
		var v1 bool
		text, file, v1, err = l.kernel(set)
		return err == nil && set.agrees(text, want, v1)
	}) {
		return text, nil
	}
	if err != nil {
		return text, fmt.Errorf("systemd took %s, but it has no effect: %w", name, err)
	}
	return text, fmt.Errorf("systemd took %s, but it has no effect: %s says %q", name, file, text)
}

// undo puts the old values back, and removes the drop-in files that systemd wrote for the new ones:
// they would outlive the next change of the unit file. A limit that ends by itself ends now instead, by the same hand,
// or has ended already; only if that does not help it is taken back like any other.
func (k Limiter) Undo(ctx context.Context, a *incident.Attempt) error {
	var kept limitUndo
	if err := json.Unmarshal(a.Undo, &kept); err != nil {
		return fmt.Errorf("read what undo needs: %w", err)
	}
	if lifted, err := k.lift(ctx, a, kept); err != nil || lifted {
		return err
	}
	if err := k.changeable(ctx, a.Target, kept); err != nil {
		return err
	}
	if _, err := k.give(ctx, order.Order{Verb: order.SetProperty, Unit: a.Target, Properties: kept.Old,
		Runtime: kept.Runtime}); err != nil {
		return err
	}
	files, err := k.dropIns(ctx, a.Target)
	if err != nil {
		return err
	}
	for _, file := range files {
		if slices.Contains(kept.Kept, file) || !ofSettings(file, kept.Old) {
			continue
		}
		err := os.Remove(file)
		if errors.Is(err, fs.ErrPermission) {
			// Only root may remove it. It holds the old value, so nothing is wrong until the unit file
			// itself is given another.
			k.Log.Warn("drop-in stays, with the old value in it", "file", file, "error", err)
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove drop-in: %w", err)
		}
		_ = os.Remove(filepath.Dir(file)) // it goes only if nothing else is in it
	}
	return nil
}

// changeable refuses where systemd takes no change of the unit's properties, which would be tried for ever: it says what
// to do once the unit is there again, because the drop-ins of its limits still are.
func (k Limiter) changeable(ctx context.Context, unit string, kept limitUndo) error {
	u, err := k.look(ctx, unit)
	if err != nil {
		return err
	}
	if u.Load != "masked" && u.Load != "not-found" {
		return nil
	}
	back, err := order.Assignments(kept.Old)
	if err != nil {
		return kind.Refuse("%s is %s, and its limits stay: %v", unit, u.Load, err)
	}
	if back = slices.Insert(back, 0, unit); kept.Runtime {
		back = slices.Insert(back, 0, "--runtime")
	}
	return kind.Refuse("%s is %s, and its limits stay; once it is back: systemctl set-property %s", unit, u.Load, strings.Join(back, " "))
}

// liftWait is how long it may take until a limit that is lifted is gone.
const liftWait = 2 * time.Second

// lift has the helper end a limit that ends by itself, and reports whether the values are the old ones then.
func (k Limiter) lift(ctx context.Context, a *incident.Attempt, kept limitUndo) (done bool, err error) {
	if a.For <= 0 || !k.Helper.Present() {
		return false, nil
	}
	if _, err := k.give(ctx, order.Order{Verb: order.Lift, Unit: a.Target}); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, liftWait)
	defer cancel()
	return kind.Eventually(ctx, 5*time.Millisecond, func() bool {
		now, err := k.values(ctx, a.Target, kept.Old)
		return err == nil && maps.EqualFunc(now, kept.Old, value.Equal)
	}), nil
}

// ofSettings reports whether systemd named that drop-in after one of the settings.
func ofSettings(file string, settings map[string]value) bool {
	name, ok := strings.CutPrefix(filepath.Base(file), "50-")
	_, ours := settings[strings.TrimSuffix(name, ".conf")]
	return ok && ours && strings.HasSuffix(filepath.Dir(filepath.Dir(file)), ".control")
}

func (k Limiter) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var kept limitUndo
	if err := json.Unmarshal(a.Undo, &kept); err != nil {
		return incident.Unknown, "what the limits were before is not recorded"
	}
	_, _, err := k.settled(ctx, a)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	now, err := k.values(ctx, a.Target, kept.Old)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	if maps.EqualFunc(now, kept.Old, value.Equal) {
		return incident.NotDone, "the limits are what they were"
	}
	return incident.Acted, "the limits are no longer what they were"
}

// values are the properties of the given names as systemd has them.
func (k Limiter) values(ctx context.Context, unit string, names map[string]value) (map[string]value, error) {
	c, err := k.Systemd.Conn()
	if err != nil {
		return nil, err
	}
	return order.Read(ctx, c, unit, names)
}

// dropIns are the drop-in files of the unit that are on disk.
func (k Limiter) dropIns(ctx context.Context, unit string) ([]string, error) {
	c, err := k.Systemd.Conn()
	if err != nil {
		return nil, err
	}
	p, err := c.GetUnitPropertyContext(ctx, unit, "DropInPaths")
	if err != nil {
		return nil, fmt.Errorf("read drop-ins of %s: %w", unit, err)
	}
	files, _ := p.Value.Value().([]string)
	return slices.DeleteFunc(files, func(file string) bool {
		_, err := os.Lstat(file)
		return err != nil
	}), nil
}
