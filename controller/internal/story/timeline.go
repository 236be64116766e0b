package story

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/salveops/salve/proto/localpb"
)

// timeline shows every event with its time since the incident opened.
func (t teller) timeline() {
	t.printf("\nTimeline, from %s\n", t.moment(t.i.GetSummary().GetOpened()))
	if n := t.i.GetDropped(); n > 0 {
		t.printf("  (%d events are no longer kept)\n", n)
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, e := range t.i.GetTimeline() {
		fmt.Fprintf(tw, "  +%s\t%s\t%s\n", Span(e.GetOffset()), e.GetType(), oneLine(e.GetText()))
		for _, line := range block(e) {
			fmt.Fprintf(tw, "\t\t  %s\n", line)
		}
	}
	tw.Flush()
	io.WriteString(t.w, b.String())
}

// block is what an event's fields tell a person beyond its text: the candidates of a decision, and
// whatever else has several lines. The other fields are for machines and repeat the text.
func block(e *localpb.TimelineEvent) []string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(e.GetFields())) {
		v := strings.TrimSpace(e.GetFields()[k])
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

// Line is one event of a stream: when, about what, what. It ends with the incident, so that the
// eye finds the words and the hand the ID.
func Line(e *localpb.TimelineEvent) string {
	at := "--:--:--.---"
	if e.GetAt() != nil {
		at = e.GetAt().AsTime().Local().Format("15:04:05.000")
	}
	about := e.GetService()
	if about == "" {
		about = "host"
	}
	s := fmt.Sprintf("%s  %-14s  %-8s  %s", at, oneLine(about), e.GetType(), oneLine(e.GetText()))
	if id := e.GetIncident(); id != "" {
		s += "  (" + id[:min(12, len(id))] + ")"
	}
	for _, line := range block(e) {
		s += "\n" + strings.Repeat(" ", 42) + line
	}
	return s
}

// Result is how a run by hand ended.
func Result(r *localpb.RunResult) string {
	s := oneLine(join(strings.ReplaceAll(r.GetVerdict(), "_", " "), r.GetReason()))
	if id := r.GetIncident(); id != "" {
		s += "; the story: salve agent explain " + id[:min(12, len(id))]
	}
	return s
}
