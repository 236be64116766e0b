package notify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

// trio are three nodes, each with its own way to the same places.
func trio(t *testing.T, j *arbitertest.Journal, places Places) []*member {
	t.Helper()
	var all []*member
	for _, id := range []string{"n1", "n2", "n3"} {
		all = append(all, join(t, j, id, t.TempDir(), places, func(o *Options) {
			o.Forward = func(ctx context.Context, address string, page *logpb.QuorumPage) error {
				for _, m := range all {
					if m.id+":7600" == address {
						r, _, err := m.arbiter.Propose(ctx, &logpb.Command{What: &logpb.Command_QuorumPage{QuorumPage: page}})
						if err == nil && r.GetRefusal() != nil {
							err = errors.New(r.GetRefusal().GetText())
						}
						return err
					}
				}
				return errors.New("no such node")
			}
		}))
	}
	return all
}

func see(all []*member, leader string, term uint64) {
	for _, m := range all {
		if m.id != leader {
			m.sees(leader, term)
		}
	}
	for _, m := range all {
		if m.id == leader {
			m.sees(leader, term)
		}
	}
}

func stopAll(all []*member) {
	for _, m := range all {
		m.stop()
	}
}

// quorum-lost-pages-once: no node leads, each pages by itself, and people see one page; when there is a leader they
// are told the end, and the next outage is another page.
func TestQuorumLostPagesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager, mail := newPlace(t), newPlace(t)
		all := trio(t, j, to(map[string]*place{"pagerduty.p": pager, "email.me": mail}))
		see(all, "n1", 3)
		settle(time.Minute)
		see(all, "", 3)
		all[1].sees("", 5) // it has stood for election, and nobody has answered
		settle(25 * time.Second)
		if got := pager.said(); len(got) != 0 {
			t.Errorf("after 25 s: %q", got)
		}
		settle(10 * time.Minute)
		for name, p := range map[string]*place{"pager": pager, "mail": mail} {
			got := p.said()
			if len(got) != 3 || got[0] != got[1] || got[1] != got[2] || p.calls != 1 {
				t.Errorf("%s: people were called %d times: %q", name, p.calls, got)
			}
		}
		if msg := pager.last(); !strings.Contains(msg.Summary, "no leader") || msg.Severity != "critical" || msg.Kind != pkgnotify.Trigger {
			t.Errorf("message %+v", msg)
		}

		see(all, "n2", 6)
		settle(5 * time.Minute)
		for name, p := range map[string]*place{"pager": pager, "mail": mail} {
			if got := p.said(); len(got) != 4 || !strings.HasPrefix(got[3], "resolve quorum-") {
				t.Errorf("%s: at the end: %q", name, got)
			}
		}
		found := incidents(j)
		if len(found) != 1 || found[0].GetState() != logpb.IncidentState_INCIDENT_STATE_RESOLVED {
			t.Errorf("incidents %v", found)
		}

		settle(3 * time.Hour)
		see(all, "", 6)
		settle(5 * time.Minute)
		if pager.calls != 2 {
			t.Errorf("the second outage called %d times: %q", pager.calls-1, pager.said())
		}
		see(all, "n3", 9)
		settle(5 * time.Minute)
		if got := pager.said(); !strings.HasPrefix(got[len(got)-1], "resolve quorum-") || len(pager.open) != 2 {
			t.Errorf("at the end: %q", got)
		}
		for name, open := range pager.open {
			if open {
				t.Errorf("%s stays open", name)
			}
		}
		stopAll(all)
	})
}

// A short loss is nobody's business, and neither is a node that never heard a leader.
func TestNoPageWithoutReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager := newPlace(t)
		all := trio(t, j, to(map[string]*place{"pagerduty.p": pager}))
		settle(time.Hour) // being set up
		see(all, "n1", 1)
		settle(time.Minute)
		for range 5 {
			see(all, "", 1)
			settle(20 * time.Second)
			see(all, "n2", 2)
			settle(time.Minute)
		}
		if got := pager.said(); len(got) != 0 {
			t.Errorf("people were told %q", got)
		}
		stopAll(all)
	})
}

// A node that is cut off alone pages alone, and tells the leader when it is back.
func TestMinorityPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager := newPlace(t)
		all := trio(t, j, to(map[string]*place{"pagerduty.p": pager}))
		see(all, "n1", 1)
		settle(time.Minute)
		all[2].sees("", 1)
		settle(10 * time.Minute)
		if got := pager.said(); len(got) != 1 {
			t.Errorf("people were told %q", got)
		}
		all[2].sees("n1", 1)
		settle(10 * time.Minute)
		if got := pager.said(); len(got) != 2 || !strings.HasPrefix(got[1], "resolve") {
			t.Errorf("people were told %q", got)
		}
		stopAll(all)
	})
}

// A quorum that comes and goes is one page until it stays.
func TestQuorumThatFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager := newPlace(t)
		all := trio(t, j, to(map[string]*place{"pagerduty.p": pager}))
		see(all, "n1", 1)
		settle(time.Minute)
		term := uint64(1)
		for range 5 {
			see(all, "", term)
			settle(time.Minute)
			term++
			see(all, "n1", term)
			settle(5 * time.Second)
		}
		if pager.calls != 1 || len(pager.said()) != 3 {
			t.Errorf("people were called %d times: %q", pager.calls, pager.said())
		}
		settle(10 * time.Minute)
		if got := pager.said(); len(got) != 4 {
			t.Errorf("people were told %q", got)
		}
		stopAll(all)
	})
}

// A node that falls in the middle of an outage does not page again in its next life, and tells the end.
func TestPageOutlivesTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager, mail := newPlace(t), newPlace(t)
		mail.failing(func(pkgnotify.Message) error { return errors.New("connection refused") })
		data := t.TempDir()
		places := to(map[string]*place{"pagerduty.p": pager, "email.me": mail})
		m := join(t, j, "n1", data, places, nil)
		m.sees("n1", 1)
		settle(time.Minute)
		m.sees("", 1)
		settle(time.Minute)
		m.stop()
		mail.failing(nil)
		m = join(t, j, "n1", data, places, nil)
		settle(10 * time.Minute)
		if len(pager.said()) != 1 || len(mail.said()) != 1 {
			t.Errorf("the pager heard %q, the mail box %q", pager.said(), mail.said())
		}
		m.stop()
		m = join(t, j, "n1", data, places, nil)
		m.sees("n1", 2)
		settle(time.Minute)
		for _, p := range []*place{pager, mail} {
			if got := p.said(); len(got) != 2 || !strings.HasPrefix(got[1], "resolve") {
				t.Errorf("people were told %q", got)
			}
		}
		m.stop()
	})
}

// A place that refuses is not told the end of what it never took; if nobody took it, there is nothing to end.
func TestPageThatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager := newPlace(t)
		pager.failing(func(pkgnotify.Message) error { return pkgnotify.Permanent(errors.New("401")) })
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"pagerduty.p": pager}), nil)
		m.sees("n1", 1)
		settle(time.Minute)
		m.sees("", 1)
		settle(10 * time.Minute)
		pager.failing(nil)
		m.sees("n1", 2)
		settle(10 * time.Minute)
		if got := pager.said(); len(got) != 0 || len(incidents(j)) != 0 {
			t.Errorf("people were told %q, incidents %v", got, incidents(j))
		}
		m.stop()
	})
}

// A disk that cannot be written is no reason for silence, nor is a file that cannot be read.
func TestPageWithoutDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager := newPlace(t)
		data := t.TempDir()
		if err := os.WriteFile(filepath.Join(data, "quorum-page.json"), []byte(`{"page":`), 0o600); err != nil {
			t.Fatal(err)
		}
		m := join(t, j, "n1", data, to(map[string]*place{"pagerduty.p": pager}), nil)
		m.sees("n1", 1)
		settle(time.Minute)
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		m.sees("", 1)
		settle(time.Minute)
		if got := pager.said(); len(got) != 1 {
			t.Errorf("people were told %q", got)
		}
		m.sees("n1", 2)
		settle(time.Minute)
		if got := pager.said(); len(got) != 2 {
			t.Errorf("people were told %q", got)
		}
		m.stop()
	})
}

// A leader that hears fewer than half of its hosts marks none as lost; people are told that by the leader itself.
func TestCutOffIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager := newPlace(t)
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"pagerduty.p": pager}), nil)
		m.sees("n1", 1)
		cut := func(on bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.cut = on
		}
		cut(true)
		settle(30 * time.Second)
		cut(false)
		settle(time.Minute)
		if got := pager.said(); len(got) != 0 {
			t.Errorf("after half a minute: %q", got)
		}
		cut(true)
		settle(10 * time.Minute)
		cut(false)
		settle(time.Minute)
		got := pager.said()
		if len(got) != 2 || !strings.HasPrefix(got[0], "trigger cut-off-") || !strings.HasPrefix(got[1], "resolve cut-off-") {
			t.Errorf("people were told %q", got)
		}
		m.stop()
	})
}
