package config

import (
	"cmp"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
)

// Answers that a checked specification gives, so that everyone who asks gets the same one.

// Covers reports whether the service looks after the unit: its name or glob matches and no other
// service has a better claim. A unit has at most one service.
func (s *Service) Covers(unit string) bool {
	if !glob.Match(s.Unit, unit) {
		return false
	}
	for _, pattern := range s.Except {
		if glob.Match(pattern, unit) {
			return false
		}
	}
	return true
}

// About reports whether the rule is about the service. A rule without services is about the host.
func (r *Rule) About(s *Service) bool {
	for _, pattern := range r.Services {
		if glob.Match(pattern, s.Name) {
			return true
		}
	}
	return false
}

// Candidates are the remedies that the rule tries for the service, in order. For a rule about the
// host s is nil and the remedies are those of the host. Names that a service does not have are left
// out: a rule about several services may list remedies that only some of them have.
func (a *Agent) Candidates(r *Rule, s *Service) []*Remedy {
	from := a.Remedies
	if s != nil {
		from = s.Remedies
	}
	var found []*Remedy
	for _, name := range r.Try {
		if rem := remedyNamed(from, name); rem != nil {
			found = append(found, rem)
		}
	}
	return found
}

func remedyNamed(from []*Remedy, name string) *Remedy {
	for _, rem := range from {
		if rem.Name == name {
			return rem
		}
	}
	return nil
}

// Verification is how an attempt of the remedy for the rule is judged.
type Verification struct {
	When   *expr.Program
	Not    bool          // recovery is that When does not hold: the rule has no clear of its own
	Within time.Duration // longer than every window in When
	Hold   time.Duration
}

// Verification fills in what the remedy's verify block leaves to the rule and to the defaults.
func (rem *Remedy) Verification(r *Rule) Verification {
	v := Verification{When: r.Clear, Hold: defaults.VerifyHold}
	if r.Clear == nil {
		v.When, v.Not = r.When, true
	}
	if rem.Verify != nil {
		v.Hold, v.Within = rem.Verify.Hold, rem.Verify.Within
		if rem.Verify.When != nil {
			v.When, v.Not = rem.Verify.When, false
		}
	}
	if v.Within == 0 {
		// One period more than there are samples to wait for: a tick and an answer that is late must not decide.
		samples := (defaults.VerifySamples + 1) * v.When.Pace()
		v.Within = max(defaults.VerifyWithin, rem.startup()+v.Hold, v.When.Window()+v.Hold, samples+v.Hold)
	}
	return v
}

// startup is the time that a start of the remedy's service is given.
func (rem *Remedy) startup() time.Duration { return rem.Service.StartupTime() }

// StartupTime is how long a unit of the service takes to start; of no service (nil), the default.
func (s *Service) StartupTime() time.Duration {
	if s == nil {
		return defaults.Startup
	}
	return s.Startup
}

// Owner names the remedy's service, "" for a remedy of the host.
func (rem *Remedy) Owner() string {
	if rem.Service == nil {
		return ""
	}
	return rem.Service.Name
}

// Command is how a person runs the remedy by hand.
func (rem *Remedy) Command() string {
	if owner := rem.Owner(); owner != "" {
		return "salve agent run " + owner + "/" + rem.Name
	}
	return "salve agent run " + rem.Name
}

// Target is what the remedy acts on when it is tried for the unit: a unit, a pool or a program. "" is nothing.
func (rem *Remedy) Target(unit string) string {
	if rem.Args == nil {
		return unit
	}
	return cmp.Or(rem.Args.Names(), unit)
}

// Among are the units that the remedy chooses from when it acts, as globs; nil: it acts on its Target.
func (rem *Remedy) Among() []string {
	if choice, ok := rem.Args.(remedy.Choice); ok {
		return choice.Among()
	}
	return nil
}

// Touches are the units, or globs of them, that the remedy may change beside its Target; nil: none.
func (rem *Remedy) Touches() []string { return rem.beside(false) }

// Waits are the units, or globs of them, for which it waits while a package transaction may touch them: what it Touches, without
// the parts that it leaves out then.
func (rem *Remedy) Waits() []string { return rem.beside(true) }

func (rem *Remedy) beside(spared bool) []string {
	units := slices.Clone(rem.Among())
	for _, p := range remedy.Parts(rem.Args) {
		if p.Kind.OnUnit() && !(spared && p.Spare) {
			units = append(units, p.Name)
		}
	}
	return units
}

// Locks are what the remedy needs for itself when it is tried for the unit ("": for none), in the order of their names:
// what it acts on, whatever else it may change, and the unit by which it is judged. Nil: nothing.
func (rem *Remedy) Locks(unit string) []remedy.Lock {
	locks := []remedy.Lock{remedy.LockOn(remedy.OnUnit, unit)}
	for _, name := range rem.Touches() {
		locks = append(locks, remedy.LockOn(remedy.OnUnit, name))
	}
	spec, _ := remedy.Lookup(string(rem.Kind))
	if rem.Among() == nil {
		for _, name := range rem.places(rem.Target(unit)) {
			locks = append(locks, remedy.LockOn(spec.Target, name))
		}
	}
	for _, p := range remedy.Parts(rem.Args) {
		if p.Kind == rem.Kind {
			locks = append(locks, remedy.LockOn(spec.Target, p.Name))
		}
	}
	locks = append(locks, remedy.BalancerLock(rem.balancer()), remedy.SharedLock(rem.Permit))
	return remedy.Locks(locks...)
}

// balancer is where the HAProxy is reached of which the remedy takes out a server; "": it takes out none.
func (rem *Remedy) balancer() string {
	if p := rem.pool(); p != nil {
		return p.HAProxy
	}
	if a, ok := rem.Args.(*remedy.IsolateArgs); ok && rem.Service != nil {
		if c := rem.Service.Circuit(a.Circuit); c != nil {
			return c.HAProxy
		}
	}
	return ""
}

// pool is the pool that the remedy acts on, or whose servers it takes out; nil: there is none.
func (rem *Remedy) pool() *Pool {
	name := ""
	switch a := rem.Args.(type) {
	case *remedy.PoolArgs:
		name = a.Pool
	case *remedy.ScaleArgs:
		name = a.Balancer
	}
	if name == "" || rem.Service == nil {
		return nil
	}
	return named(rem.Service.Pools, name, func(p *Pool) string { return p.Name })
}

// Unit is the one unit that the remedy acts on when it is tried for the unit; "": it acts on something else, or chooses
// when it acts.
func (rem *Remedy) Unit(unit string) string {
	if !rem.Kind.OnUnit() || rem.Among() != nil {
		return ""
	}
	return rem.Target(unit)
}

// Observes reports whether nothing may be done alone for the service, or for the host if s is nil: the stricter of
// the two wins.
func (a *Agent) Observes(s *Service) bool {
	return a.Autonomy == Observe || s != nil && s.Autonomy == Observe
}

// Service is the service of that name, or nil.
func (a *Agent) Service(name string) *Service { return named(a.Services, name, (*Service).name) }

// Rule is the rule of that name, or nil.
func (a *Agent) Rule(name string) *Rule { return named(a.Rules, name, (*Rule).name) }

// Notifier is the notifier of that ID ("email.me"), or nil.
func (a *Agent) Notifier(id string) *Notifier { return named(a.Notifiers, id, (*Notifier).ID) }

// Escalation is the escalation of that name, or nil.
func (a *Agent) Escalation(name string) *Escalation {
	return named(a.Escalations, name, (*Escalation).name)
}

// Paging is the escalation by which this host tells people itself when a rule escalates to the name: that
// of the name, else "default". Nil: nobody is told. The name may be one of the controller's, and that of an
// incident may be gone from the file since.
func (a *Agent) Paging(name string) *Escalation {
	if e := a.Escalation(name); e != nil {
		return e
	}
	return a.Escalation(defaults.EscalateTo)
}

func (s *Service) name() string    { return s.Name }
func (r *Rule) name() string       { return r.Name }
func (e *Escalation) name() string { return e.Name }

func named[T any](all []*T, name string, of func(*T) string) *T {
	for _, one := range all {
		if of(one) == name {
			return one
		}
	}
	return nil
}
