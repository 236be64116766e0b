package session_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/proto/logpb"
)

func (r *rig) wantConfirmed(want bool) {
	r.t.Helper()
	synctest.Wait()
	confirmed, now := r.Confirmed(r.journal.Host())
	if (confirmed == now) != want {
		r.t.Errorf("confirmed is version %d of %d", confirmed, now)
	}
}

func (r *rig) pausesHeld() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, p := range r.orders[len(r.orders)-1].GetPauses() {
		out = append(out, p.GetScope())
	}
	return strings.Join(out, " ")
}

// Orders hold first and are confirmed then, and both only when they are on disk; they outlive the process.
func TestOrders(t *testing.T) {
	online(t, func(r *rig) {
		r.wantConfirmed(true)
		id := r.Pause("service:web", "eve", 0)
		r.wantConfirmed(true)
		if got := r.pausesHeld(); got != "service:web" {
			t.Errorf("paused is %q", got)
		}
		known := r.Session.Orders().Known[id]
		r.Down(true)
		r.Resume(id)
		r.pass(time.Minute)
		r.restart()
		synctest.Wait()
		if got := r.Session.Orders().GetPauses(); len(got) != 1 || got[0].GetScope() != "service:web" {
			t.Errorf("the next process knows of %v", got)
		}
		if got := r.Session.Orders().Known[id]; got.IsZero() || got.Boot != known.Boot {
			t.Errorf("it knows of the pause since %v, not since %v", got, known)
		}
		r.Down(false)
		r.connected()
		if got := r.pausesHeld(); got != "" {
			t.Errorf("paused is %q", got)
		}
		r.wantConfirmed(true)
	})
}

// turned-back-on, late-resume-from-old-leader: what a leader says that was one undoes no pause.
func TestOldOrders(t *testing.T) {
	online(t, func(r *rig) {
		old := r.Standing(r.journal.Host())
		r.Pause("all", "eve", 0)
		synctest.Wait()
		r.PushOld(old)
		synctest.Wait()
		if got := r.pausesHeld(); got != "all" {
			t.Errorf("paused is %q", got)
		}
		r.restart()
		r.connected()
		if got := r.pausesHeld(); got != "all" {
			t.Errorf("after a restart paused is %q", got)
		}
	})
}

// Orders that nobody follows are not confirmed.
func TestOrdersNobodyFollows(t *testing.T) {
	online(t, func(r *rig) {
		r.mu.Lock()
		r.deny = errors.New("the engine has stopped")
		r.mu.Unlock()
		r.Pause("all", "eve", 0)
		r.wantConfirmed(false)
	})
}

// A disk that takes nothing: alerts are told and pauses hold, but nothing is confirmed or permitted.
func TestDiskFull(t *testing.T) {
	online(t, func(r *rig) {
		r.fires("one")
		var full atomic.Bool
		full.Store(true)
		r.change = func(o *session.Options) { o.Store = &sick{o.Store, &full} }
		r.restart()
		r.connected()
		if got := r.refused(); got != session.Unwritten {
			t.Errorf("refused as %q", got)
		}
		r.Pause("all", "eve", 0)
		r.wantConfirmed(false)
		if got := r.pausesHeld(); got != "all" {
			t.Errorf("paused is %q", got)
		}
		r.fires("two")
		if got := r.told(); got != "one two" {
			t.Errorf("told: %s", got)
		}
		full.Store(false)
		r.pass(3 * time.Second)
		r.wantConfirmed(true)
		r.Resume("")
		r.granted()
	})
}

// sick is a store on a disk that may be full.
type sick struct {
	session.Store
	full *atomic.Bool
}

var errFull = errors.New("no space left on device")

func (s *sick) Put(key string, v any) error {
	if s.full.Load() {
		return errFull
	}
	return s.Store.Put(key, v)
}

func (s *sick) PutSoon(key string, v any) error {
	if s.full.Load() {
		return errFull
	}
	return s.Store.PutSoon(key, v)
}

// no-loss: alerts reach the controller at least once and in order, whatever breaks in between.
func TestEvents(t *testing.T) {
	online(t, func(r *rig) {
		var want []string
		for i := range 600 {
			want = append(want, fmt.Sprint(i))
			r.fires(fmt.Sprint(i))
			switch i {
			case 150:
				r.Cut()
			case 300:
				r.Down(true)
			case 400:
				r.restart()
			case 450:
				r.Down(false)
			}
		}
		r.pass(time.Minute)
		if got := r.told(); got != strings.Join(want, " ") {
			t.Errorf("told: %s", got)
		}
		if n := r.State().Unsent; n != 0 {
			t.Errorf("%d are not acknowledged", n)
		}
	})
}

// A restored controller gets again what its copy lacks.
func TestEventsAfterARestore(t *testing.T) {
	online(t, func(r *rig) {
		r.fires("one")
		synctest.Wait()
		restore := r.Backup()
		r.fires("two")
		r.fires("three")
		if got := r.told(); got != "one two three" {
			t.Errorf("told: %s", got)
		}
		restore("g2")
		r.pass(2 * time.Second)
		r.connected()
		if got := r.told(); got != "one two three" {
			t.Errorf("after the restore told: %s", got)
		}
	})
}

// Evidence comes whole, under its digest, also when the line was down at first.
func TestEvidence(t *testing.T) {
	online(t, func(r *rig) {
		r.Down(true)
		text := strings.Repeat("0123456789", 20_000)
		refs := r.Session.Evidence(evidenceOf("journal of web.service", text))
		r.Down(false)
		r.connected()
		r.pass(10 * time.Second)
		if got := r.Server.Evidence(refs[0].GetDigest()); got != text {
			t.Errorf("%d bytes of %d came", len(got), len(text))
		}
	})
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	out := t.TempDir()
	if err := os.CopyFS(out, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(out, "state", "journal.lock"))
	return out
}

// Serving2 is what the node knows of a service of this host.
func (r *rig) Serving2(service string) logpb.Serving {
	return r.Server.Serving(r.journal.Host(), service)
}
