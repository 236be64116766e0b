package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

// Health is how a service is on a machine.
type Health int

// Healths.
const (
	Well Health = iota
	Sick        // it serves, and a rule fires
	Down
	Held // a person stopped it
)

// Machine is a host of iron. What runs on it goes on whether or not an agent lives there, and ends when it
// loses power.
type Machine struct {
	ID, Name, Fingerprint, BootID string
	Disk                          *Disk
	// Forgot: the disk is an older copy, and no controller has noticed yet. What was confirmed before, such as
	// a pause, is not known here.
	Forgot bool
	// Calls is how many jobs were called.
	Calls int

	w        *Witness
	now      func() time.Duration // true time
	booted   time.Duration        // true time
	services map[string]Health
	jobs     []*Job
	past     map[string]Health // attempts whose last job has ended → how it left its targets
}

// NewMachine is one that runs services.
func NewMachine(w *Witness, now func() time.Duration, id string, services ...string) *Machine {
	m := &Machine{ID: id, Name: id, Fingerprint: "print of " + id, BootID: id + " boot 1", w: w, now: now,
		services: map[string]Health{}, past: map[string]Health{}, Disk: newDisk("stream of " + id)}
	for _, s := range services {
		m.services[s] = Well
	}
	return m
}

// Boottime is CLOCK_BOOTTIME.
func (m *Machine) Boottime() time.Duration { return m.now() - m.booted }

// Services are the names, in order.
func (m *Machine) Services() []string {
	var names []string
	for s := range m.services {
		names = append(names, s)
	}
	slices.Sort(names)
	return names
}

// Set makes a service well, sick, down, or held by a person.
func (m *Machine) Set(service string, h Health) {
	if _, ok := m.services[service]; ok {
		m.services[service] = h
	}
}

// Add gives the machine one more service.
func (m *Machine) Add(service string) { m.services[service] = Well }

// Health is how a service is, what runs on it left aside.
func (m *Machine) Health(service string) Health { return m.services[service] }

// Serving is what a probe would say.
func (m *Machine) Serving(service string) logpb.Serving {
	if m.takenAway(service) {
		return logpb.Serving_SERVING_DOWN
	}
	switch m.services[service] {
	case Down:
		return logpb.Serving_SERVING_DOWN
	case Held:
		return logpb.Serving_SERVING_HELD
	}
	return logpb.Serving_SERVING_YES
}

func (m *Machine) takenAway(service string) bool {
	return slices.ContainsFunc(m.jobs, func(j *Job) bool {
		return j.acts() && slices.Contains(j.Targets, permit.Target{Service: service, Host: m.ID})
	})
}

// Call begins a job, after its lag. The call is in flight from now on, also if the caller dies.
func (m *Machine) Call(j *Job) {
	j.machine, j.called = m, m.now()
	m.Calls++
	m.jobs = append(m.jobs, j)
	delete(m.past, j.Attempt)
	m.w.called(j)
	m.Advance()
}

// Advance lets begin what has arrived, and end what is over.
func (m *Machine) Advance() {
	for _, j := range slices.Clone(m.jobs) {
		if !j.began && m.now() >= j.called+j.Lag {
			j.began = true
			m.w.begun(j)
		}
		if j.began && m.now() >= j.called+j.Lag+j.For {
			m.end(j)
		}
	}
}

func (m *Machine) end(j *Job) {
	for _, t := range j.Targets {
		if t.Host == m.ID && m.services[t.Service] != Held {
			m.Set(t.Service, j.Leaves)
		}
	}
	m.past[j.Attempt] = j.Leaves
	m.drop(j)
}

func (m *Machine) drop(j *Job) {
	j.ended = true
	m.jobs = slices.DeleteFunc(m.jobs, func(o *Job) bool { return o == j })
	m.w.over(j)
}

// Next is how long until something begins or ends here, false if nothing will.
func (m *Machine) Next() (time.Duration, bool) {
	next, any := time.Duration(0), false
	for _, j := range m.jobs {
		at := j.called + j.Lag
		if j.began {
			at += j.For
		}
		if !any || at < next {
			next, any = at, true
		}
	}
	return max(0, next-m.now()), any
}

// Off ends everything that runs. What it left half done is down.
func (m *Machine) Off() {
	for _, j := range slices.Clone(m.jobs) {
		if j.began {
			for _, t := range j.Targets {
				if t.Host == m.ID {
					m.Set(t.Service, Down)
				}
			}
		}
		m.drop(j)
	}
}

// Boot begins a boot.
func (m *Machine) Boot() {
	var n int
	_, _ = fmt.Sscanf(m.BootID, m.ID+" boot %d", &n)
	m.BootID = fmt.Sprintf("%s boot %d", m.ID, n+1)
	m.booted, m.past = m.now(), map[string]Health{}
}

// Active reports whether a job of the attempt can be seen on the machine. A call in flight cannot.
func (m *Machine) Active(attempt string) bool {
	return slices.ContainsFunc(m.jobs, func(j *Job) bool { return j.Attempt == attempt && j.began })
}

// Idle reports whether nothing can be seen to run on the targets.
func (m *Machine) Idle(targets []permit.Target) bool {
	return !slices.ContainsFunc(m.jobs, func(j *Job) bool {
		return j.began && (len(targets) == 0 || slices.ContainsFunc(j.Targets,
			func(t permit.Target) bool { return slices.Contains(targets, t) }))
	})
}

// Left is how the last job of the attempt left its targets, false if none has ended since the boot.
func (m *Machine) Left(attempt string) (Health, bool) {
	h, ok := m.past[attempt]
	return h, ok
}

// Finish ends the job of an attempt that runs now.
func (m *Machine) Finish(attempt string) {
	for _, j := range slices.Clone(m.jobs) {
		if j.Attempt == attempt && j.acts() {
			m.end(j)
		}
	}
}

// FinishAll ends every job that runs now.
func (m *Machine) FinishAll() {
	for _, j := range slices.Clone(m.jobs) {
		m.Finish(j.Attempt)
	}
}
