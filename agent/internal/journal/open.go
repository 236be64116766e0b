package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/durable"
)

// Options of Open. Clock is mandatory.
type Options struct {
	Clock  clock.Clock
	Log    hclog.Logger // nil: silent
	Limits Limits       // zero fields: DefaultLimits
}

// Report says what Open found. Callers log it; a journal that was set aside deserves to be loud.
type Report struct {
	Created  bool   // there was no usable journal: the event stream is new
	SetAside string // path of the damaged journal, "" if there was none
	Reason   string // why it was set aside, or what else was odd
	// Older: one of the file's two headers was damaged and the other one is used, so that the last commit
	// may be missing.
	Older bool
	// BudgetUnknown: attempts may be missing, so budgets count as spent until Journal.BudgetUnknown says no.
	BudgetUnknown bool
	Compacted     bool // the file was mostly empty and has been rewritten
}

// Open takes the state folder, checks the journal in it, and opens it or makes a new one. A damaged
// journal is set aside, never deleted. Errors: ErrLocked, ErrNewer, and those of the file system.
func Open(dir string, o Options) (*Journal, Report, error) {
	if o.Clock == nil {
		return nil, Report{}, errors.New("open journal: Options.Clock is missing")
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	o.Limits = o.Limits.withDefaults()
	if err := makeDir(dir); err != nil {
		return nil, Report{}, err
	}
	held, err := lock(filepath.Join(dir, fileLock), o.Limits.LockWait)
	if err != nil {
		return nil, Report{}, err
	}
	j := newJournal(dir, o)
	j.lock = held
	report, err := j.open()
	if err != nil {
		if j.db != nil {
			err = errors.Join(err, j.db.Close())
		}
		return nil, report, errors.Join(err, held.Close())
	}
	j.commit() // what open queued, before anything else repairs a damaged header
	go j.run()
	return j, report, nil
}

// open brings the file into a usable state, opens it and reads what is kept in memory.
func (j *Journal) open() (Report, error) {
	var r Report
	for _, name := range []string{fileNew, fileCompact} {
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, fmt.Errorf("remove half-made journal: %w", err)
		}
	}
	h, err := check(j.path)
	var path *fs.PathError
	switch {
	case err == nil:
		r.Older = h.older
	case errors.Is(err, ErrNewer):
		return r, err
	case errors.Is(err, fs.ErrNotExist):
		err = j.create(&r)
	case errors.As(err, &path) && path.Op == "open":
		return r, fmt.Errorf("open journal: %w", err)
	default:
		r.Reason = err.Error()
		if r.SetAside, err = setAside(j.path, j.clock.Now().Wall); err == nil {
			err = j.create(&r)
		}
	}
	if err != nil {
		return r, err
	}
	if h.wasteful(j.limits.CompactFrom) {
		// Compaction needs room that may not be there; a file that stays big is no reason not to start.
		if err := compact(j.path, j.limits); err != nil {
			j.log.Warn("journal not compacted", "error", err)
		} else {
			r.Compacted = true
		}
	}
	if j.db, err = openBolt(j.path, j.limits); err != nil {
		return r, err
	}
	return r, j.load(&r)
}

// create makes a new journal in place of none or of a damaged one.
func (j *Journal) create(r *Report) error {
	host, err := hostID(j.dir)
	if err != nil {
		return err
	}
	if host == "" {
		host = newID()
	}
	records := map[string]string{keyHost: host, keyStream: newID(), keyEvents: "1"}
	if r.SetAside != "" {
		stamp, err := json.Marshal(clock.Now(j.clock))
		if err != nil {
			return fmt.Errorf("create journal: %w", err)
		}
		records[keyBudget] = string(stamp)
	}
	temp := filepath.Join(j.dir, fileNew)
	if err := create(temp, j.limits, records); err != nil {
		os.Remove(temp)
		return fmt.Errorf("create journal: %w", err)
	}
	if err := durable.Rename(temp, j.path); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	r.Created = true
	return nil
}

// load reads what is kept in memory.
func (j *Journal) load(r *Report) error {
	var text string
	for key, to := range map[string]*string{keyHost: &j.host, keyStream: &j.stream, keyEvents: &text} {
		payload, err := j.metaRecord(key)
		if err != nil {
			return err
		}
		*to = string(payload)
	}
	if _, err := fmt.Sscan(text, &j.events.next); err != nil {
		return fmt.Errorf("read journal: event number %q: %w", text, err)
	}
	j.events.reserved = j.events.next
	j.reserveEvents()
	beside, err := hostID(j.dir)
	if err == nil && beside != j.host {
		err = keepHostID(j.dir, j.host)
	}
	if err != nil { // a second copy that only matters when the journal is lost
		j.log.Warn("host ID not kept beside the journal", "error", err)
	}
	return j.loadBudget(r)
}

// loadBudget reads since when budgets are unknown, and makes them so if the last commit may be missing.
func (j *Journal) loadBudget(r *Report) error {
	payload, err := j.metaRecord(keyBudget)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(payload, &j.budgetSince); err != nil {
			return fmt.Errorf("read journal: %s: %w", keyBudget, err)
		}
	}
	if r.Older {
		j.budgetSince = clock.Now(j.clock)
		stamp, err := json.Marshal(j.budgetSince)
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		r.Reason = "one of two headers is damaged: the last commit may be missing"
		if err := j.enqueue(put(bucketMeta, keyBudget, stamp)); err != nil {
			return err
		}
	}
	r.BudgetUnknown = j.BudgetUnknown()
	return nil
}
