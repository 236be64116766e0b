package story

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/localpb"
)

// controller is who tells an event of a fleet that is of no host.
const controller = "controller"

// timeline shows every event with its time since the incident opened, and in a fleet with its host.
func (t teller) timeline() {
	t.printf("\nTimeline, from %s\n", t.moment(t.i.Opened))
	for _, note := range t.i.Clocks {
		t.printf("  (%s)\n", note)
	}
	if n := t.i.Dropped; n > 0 {
		t.printf("  (%d events are no longer kept)\n", n)
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, e := range t.i.Timeline {
		host, indent := "", ""
		if t.i.Fleet {
			host, indent = oneLine(e.about())+"\t", "\t"
		}
		fmt.Fprintf(tw, "  %s\t%s%s\t%s\n", since(e), host, e.Type, oneLine(e.Text))
		for _, line := range block(e) {
			fmt.Fprintf(tw, "\t%s\t  %s\n", indent, line)
		}
	}
	tw.Flush()
	io.WriteString(t.w, b.String())
}

// since is when an event was, from the opening of its incident: "+5 s".
func since(e Event) string {
	if e.Offset != nil && *e.Offset < 0 {
		return Length(*e.Offset)
	}
	return "+" + span(e.Offset)
}

func (e Event) about() string {
	if e.Host == "" {
		return controller
	}
	return e.Host
}

// block is what an event's fields tell a person beyond its text: the candidates of a decision, and
// whatever else has several lines. The other fields are for machines and repeat the text.
func block(e Event) []string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(e.Fields)) {
		v := strings.TrimSpace(e.Fields[k])
		if v == "" || k != "candidates" && !strings.Contains(v, "\n") {
			continue
		}
		lines = append(lines, oneLine(k)+":")
		for l := range strings.SplitSeq(v, "\n") {
			lines = append(lines, "  "+oneLine(l))
		}
	}
	return lines
}

// Line is one event of an agent's stream: when, about what, what. It ends with the incident, so that
// the eye finds the words and the hand the ID.
func Line(e *localpb.TimelineEvent) string {
	ev := eventOfAgent(e)
	if ev.Service == "" {
		ev.Service = "host"
	}
	return line(ev, fmt.Sprintf("%-14s", oneLine(ev.Service)), 14)
}

// FleetLine is one event of the controller's stream, with its host and its service.
func FleetLine(r *adminpb.WatchResponse) string {
	ev := eventOfFleet(r.GetEvent())
	ev.Incident = r.GetIncident()
	service := r.GetService()
	if service == "" {
		service = "hosts"
	}
	return line(ev, fmt.Sprintf("%-12s  %-14s", oneLine(ev.about()), oneLine(service)), 28)
}

// line puts what an event is about, which is so wide as a rule, between its time and its text.
func line(e Event, about string, width int) string {
	at := "--:--:--.---"
	if !e.At.IsZero() {
		at = e.At.Local().Format("15:04:05.000")
	}
	s := fmt.Sprintf("%s  %s  %-8s  %s", at, about, e.Type, oneLine(e.Text))
	if e.Incident != "" {
		s += "  (" + e.Incident[:min(12, len(e.Incident))] + ")"
	}
	for _, line := range block(e) {
		s += "\n" + strings.Repeat(" ", len(at)+width+16) + line
	}
	return s
}

// Result is how a run by hand ended.
func Result(r *localpb.RunResult) string {
	// What would be done may be a list, such as of files: each has a line of its own, and none can pass for a line of ours.
	lines := strings.Split(join(strings.ReplaceAll(r.GetVerdict(), "_", " "), r.GetReason()), "\n")
	for i := range lines {
		lines[i] = oneLine(lines[i])
	}
	s := strings.Join(lines, "\n  ")
	if id := r.GetIncident(); id != "" {
		s += "; the story: salve agent explain " + id[:min(12, len(id))]
	}
	return s
}
