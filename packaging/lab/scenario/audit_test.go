//go:build lab

package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/salveops/salve/packaging/lab/chaos"
	"github.com/salveops/salve/proto/adminpb"
)

// auditor reads the controller's audit all the time, as an outsider, and holds it against what is promised.
type auditor struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu     sync.Mutex
	ledger *chaos.Ledger
	judged int // of what is wrong
}

var limits = chaos.Limits{Cap: 1, Fleet: 3}

func serviceOf(string) string { return "shop" }

// startAudit begins to read.
func (f *fleet) startAudit() *auditor {
	ctx, cancel := context.WithCancel(context.Background())
	a := &auditor{cancel: cancel, ledger: chaos.NewLedger(limits, serviceOf)}
	a.ended.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			_ = a.look(ctx, f) // there may be no quorum now
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return a
}

func (a *auditor) close() {
	a.cancel()
	a.ended.Wait()
}

// look reads what is new.
func (a *auditor) look(ctx context.Context, f *fleet) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		out, err := f.desk.Exec(ctx, "salve", "audit", "--after", fmt.Sprint(a.ledger.After()), "--limit", "500", "-o", "json")
		if err != nil {
			return err
		}
		var r adminpb.ListAuditResponse
		if err := protojson.Unmarshal([]byte(out), &r); err != nil {
			return err
		}
		a.ledger.Take(r.GetRecords())
		if len(r.GetRecords()) < 500 {
			return nil
		}
	}
}

// expect names what the audit may have from now on, because the test itself causes it.
func (a *auditor) expect(what ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ledger.Expect(what...)
}

// mark notes where the audit is now. What it returns has the controller go back to there: the audit has to go on from
// this very record.
func (a *auditor) mark(f *fleet) (back func(goBack func())) {
	f.t.Helper()
	a.catchUp(f)
	a.mu.Lock()
	defer a.mu.Unlock()
	restored := a.ledger.Backup()
	return func(goBack func()) {
		a.catchUp(f)
		a.mu.Lock()
		defer a.mu.Unlock()
		goBack()
		restored()
	}
}

// catchUp reads to the end.
func (a *auditor) catchUp(f *fleet) {
	f.t.Helper()
	f.eventually(upTime, "the audit can be read", func() string { return text(a.look(f.ctx(), f)) })
}

// judge reads to the end, and complains about what must not have happened.
func (a *auditor) judge(f *fleet) {
	f.t.Helper()
	a.catchUp(f)
	a.mu.Lock()
	defer a.mu.Unlock()
	wrong := a.ledger.Wrong()
	for _, w := range wrong[a.judged:] {
		f.t.Error("audit: " + w)
	}
	a.judged = len(wrong)
	a.ledger.Unexpect()
	if open := a.ledger.Open(); len(open) > 0 {
		f.t.Errorf("audit: permits %s were never settled", strings.Join(slices.Sorted(slices.Values(open)), ", "))
	}
}
