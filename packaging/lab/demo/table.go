package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// table is the closing table, in milliseconds since each fault. What is wrong with a story was told
// at its end.
func table(results []result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "story\tdetected ms\tacted ms\tverified ms\tend\tseen from outside")
	for _, r := range results {
		end, outside := r.end, r.outside
		if r.err != nil {
			end, outside = "NOT AS IT MUST BE", "see above"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.title, cell(r.detected), cell(r.acted), cell(r.verified), end, outside)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// line is how a story ended, in a sentence.
func (r result) line() string {
	if r.err != nil {
		return "NOT AS IT MUST BE: " + oneLine(r.err)
	}
	return r.end + ": " + r.outside
}

func cell(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", millis(d))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
