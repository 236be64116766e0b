package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// pairStory is one story of two hosts and their controller.
type pairStory struct {
	title string
	tell  string // what is done
	play  func(s *pairPlay) error
}

// pairResult is one line of the closing table of the second act.
type pairResult struct {
	title   string
	fault   time.Time
	marks   []mark
	end     string // how it ended
	outside string // what was seen without asking agents or the controller
	err     error  // why it is not as it must be
}

// mark is something that happened, and how long after the fault.
type mark struct {
	what string
	at   time.Duration
}

// mark notes what happens now.
func (r *pairResult) mark(what string) { r.markAt(what, time.Now()) }

func (r *pairResult) markAt(what string, at time.Time) {
	r.marks = append(r.marks, mark{what, at.Sub(r.fault)})
}

// course is what happened in its order: "refused 512 → granted 4020".
func (r *pairResult) course() string {
	parts := make([]string, len(r.marks))
	for i, m := range r.marks {
		parts[i] = fmt.Sprintf("%s %.0f", m.what, millis(m.at))
	}
	return strings.Join(parts, " → ")
}

// line is how a story ended, in a sentence.
func (r *pairResult) line() string {
	end, outside := last(r.end, r.outside, r.err)
	return end + ": " + outside
}

// pairTable is the closing table.
func pairTable(results []pairResult) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "story\tms after the fault\tend\tseen from outside")
	for _, r := range results {
		end, outside := last(r.end, r.outside, r.err)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.title, r.course(), end, outside)
	}
	_ = w.Flush() // into memory
	return b.String()
}
