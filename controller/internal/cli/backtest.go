package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/simulate"
)

// backtestRun is what `salve backtest` found, as JSON and YAML show it.
type backtestRun struct {
	From      time.Time          `json:"from"`
	To        time.Time          `json:"to"`
	Recorded  string             `json:"recorded"` // how long signals were recorded in between
	Rules     int                `json:"rules"`
	Idle      []backtestIdle     `json:"idle,omitempty"`
	Incidents []backtestIncident `json:"incidents"`
	Confirmed int                `json:"confirmed"`           // of Incidents, those beside one that was recorded
	Precision *float64           `json:"precision,omitempty"` // absent: there would have been no incident
	Missed    int                `json:"missed"`              // recorded incidents beside which there would have been none
}

// backtestIdle is a rule that could say nothing.
type backtestIdle struct {
	Rule  string   `json:"rule"`
	Lacks []string `json:"lacks,omitempty"` // signals of which nothing was recorded
}

type backtestIncident struct {
	Service   string    `json:"service"`
	Rules     []string  `json:"rules"`
	Instance  string    `json:"instance"`
	Began     time.Time `json:"began"`
	Lasted    string    `json:"lasted"` // "" it went on to the end of the recording
	Would     string    `json:"would,omitempty"`
	Confirmed bool      `json:"confirmed"`
}

// backtestSlack is how far apart in time an incident that would have been and one that was may begin.
const backtestSlack = 5 * time.Minute

func (a *app) backtest() *cobra.Command {
	c := &cobra.Command{
		Use:   "backtest RULES…",
		Short: "Try rules on what was recorded",
		Long: `Try rules on recorded signals: which incidents there would have been, and what would have been done. Nothing is
done, and nobody knows what a remedy would have changed, so a recording is judged as with autonomy "observe".

Precision is the share of these incidents beside which the agent had one of the same service then (within five
minutes); those that it had of services that the rules are about, and the rules would not have, are missed. It had them
by the rules of that time.

Of a time that was not recorded nothing is known, so that no "for" passes in it. Where the clock was set back, time goes
on. A signal that is asked each minute counts once a minute, though its value is recorded each second.

An agent records with record_mib in agent.hcl.`,
		Example: `  salve backtest --since 7d /etc/salve/rules.d
  salve backtest --recording web-1.slr rules.d/`,
		GroupID: groupConfig,
		Args:    exactly("RULES, a file or folder"),
	}
	out := addOutput(c)
	from := addRecording(c)
	since := addSince(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		length, err := parseSince(*since)
		if err != nil {
			return usagef("--since: %v", err)
		}
		sets, diags := a.testSets(args)
		if diags.HasErrors() {
			if err := a.writeDiagnostics(diags); err != nil {
				return err
			}
			return silently(exitFindings)
		}
		spans, err := a.recorded(*from, length)
		if err != nil {
			return err
		}
		found := backtestOf(simulate.Replay(sets[0], spans))
		return out.show(c, found, func(w io.Writer) { writeBacktest(w, found) })
	}
	return c
}

// parseSince is a duration, also in days.
func parseSince(text string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days > 0 && days <= 3650 {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 || err != nil {
		return 0, errors.New("it is a time such as 12h or 7d")
	}
	return d, nil
}

func backtestOf(r *simulate.Replayed) backtestRun {
	found := backtestRun{From: r.Over.From, To: r.Over.To, Rules: r.Rules, Incidents: []backtestIncident{},
		Recorded: defaults.Duration(time.Duration(r.Seconds) * time.Second)}
	for _, i := range r.Idle {
		found.Idle = append(found.Idle, backtestIdle(i))
	}
	would := map[string][]simulate.Period{}
	for _, i := range r.Incidents {
		p := simulate.Period{From: i.Opened.Wall, To: r.Over.To}
		one := backtestIncident{Service: i.Service, Instance: i.Alerts[0].Instance, Began: p.From, Would: i.WouldHave,
			Rules: rulesOf(i)}
		if i.State == incident.Resolved {
			p.To = i.Ended.Wall
			one.Lasted = defaults.Duration(p.To.Sub(p.From))
		}
		if one.Confirmed = simulate.Beside(r.Real[i.Service], p, backtestSlack); one.Confirmed {
			found.Confirmed++
		}
		would[i.Service] = append(would[i.Service], p)
		found.Incidents = append(found.Incidents, one)
	}
	if n := len(found.Incidents); n > 0 {
		share := float64(found.Confirmed) / float64(n)
		found.Precision = &share
	}
	for service, periods := range r.Real {
		for _, p := range periods {
			if !simulate.Beside(would[service], p, backtestSlack) {
				found.Missed++
			}
		}
	}
	return found
}

// rulesOf are the rules of an incident, in the order in which they fired.
func rulesOf(i *incident.Incident) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range i.Alerts {
		if !seen[a.Rule] {
			seen[a.Rule] = true
			out = append(out, a.Rule)
		}
	}
	return out
}

func writeBacktest(w io.Writer, found backtestRun) {
	fmt.Fprintf(w, "%s to %s, %s recorded, %s\n", found.From.Format(time.DateTime), found.To.Format(time.DateTime),
		found.Recorded, story.Number(found.Rules, "rule"))
	for _, i := range found.Idle {
		of := "its services"
		if len(i.Lacks) > 0 {
			of = strings.Join(i.Lacks, ", ")
		}
		fmt.Fprintf(w, "  %s takes no part: nothing was recorded of %s\n", i.Rule, of)
	}
	var lines [][]string
	for _, i := range found.Incidents {
		was := "no"
		if i.Confirmed {
			was = "yes"
		}
		lasted := i.Lasted
		if lasted == "" {
			lasted = "goes on"
		}
		lines = append(lines, []string{i.Began.Format(time.DateTime), lasted, i.Service, strings.Join(i.Rules, ", "),
			i.Instance, i.Would, was})
	}
	if len(lines) > 0 {
		rows(w, "BEGAN LASTED SERVICE RULES INSTANCE WOULD-RUN WAS-ONE", lines...)
	}
	text := fmt.Sprintf("%s would have been", story.Number(len(found.Incidents), "incident"))
	if found.Precision != nil {
		text += fmt.Sprintf(", %d of them beside one that was: precision %.0f %%", found.Confirmed, 100**found.Precision)
	}
	fmt.Fprintf(w, "%s; %s missed\n", text, story.Number(found.Missed, "recorded incident"))
}
