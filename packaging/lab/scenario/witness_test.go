//go:build lab

package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// job is something that systemd did to the shop on a host, whoever asked for it.
type job struct {
	host        string
	stops       bool // it took down what ran: a restart or a stop
	starts      bool
	from, until time.Time
}

func (j job) String() string {
	return fmt.Sprintf("%s from %s for %v", j.host, j.from.Format("15:04:05.000"), j.until.Sub(j.from).Round(time.Millisecond))
}

// jobsOf are the jobs on a host since a moment, in order. They are what systemd wrote into the host's journal, and so
// outlive agents, controllers and boots.
func (f *fleet) jobsOf(h *booted.Host, since time.Time) []job {
	f.t.Helper()
	out := f.sh(h, fmt.Sprintf("journalctl --no-pager -o json --since=@%d.%06d _PID=1 UNIT=%s",
		since.Unix(), since.Nanosecond()/1000, shop))
	var jobs []job
	index := map[string]int{}
	for line := range strings.Lines(out) {
		var entry struct {
			Boot    string `json:"_BOOT_ID"`
			Job     string `json:"JOB_ID"`
			At      int64  `json:"__REALTIME_TIMESTAMP,string"` // microseconds
			Message string `json:"MESSAGE"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			f.t.Fatal(err)
		}
		if entry.Job == "" {
			continue
		}
		at := time.UnixMicro(entry.At)
		i, known := index[entry.Boot+entry.Job]
		if !known {
			i = len(jobs)
			index[entry.Boot+entry.Job] = i
			jobs = append(jobs, job{host: h.Name, from: at})
		}
		jobs[i].until = at
		jobs[i].stops = jobs[i].stops || strings.HasPrefix(entry.Message, "Stopping")
		jobs[i].starts = jobs[i].starts || strings.HasPrefix(entry.Message, "Starting")
	}
	return jobs
}

// jobs is how many there were.
func (f *fleet) jobs(h *booted.Host, since time.Time) int {
	f.t.Helper()
	return len(f.jobsOf(h, since))
}

// repairsApart: since a moment no two shops that ran were restarted at once; want is how many restarts there must have
// been, so that something was put to the test. What stops with its host is no repair.
func (f *fleet) repairsApart(since time.Time, want int) {
	f.t.Helper()
	var all []job
	for _, h := range f.web {
		for _, j := range f.jobsOf(h, since) {
			if j.stops && j.starts {
				all = append(all, j)
			}
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if a.host != b.host && a.from.Before(b.until) && b.from.Before(a.until) {
				f.t.Errorf("two under repair at once: %v, and %v", b, a)
			}
		}
	}
	if len(all) < want {
		f.t.Errorf("there were %d repairs, want %d at least: %v", len(all), want, all)
	}
	f.t.Logf("%d repairs, none at the same time as another", len(all))
}
