package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// table is the closing table, in milliseconds since each fault.
func table(results []result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "story\tdetected ms\tacted ms\tverified ms\tend\tseen from outside")
	for _, r := range results {
		end, outside := last(r.end, r.outside, r.err)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.title, cell(r.detected), cell(r.acted), cell(r.verified), end, outside)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// line is how a story ended, in a sentence.
func (r result) line() string {
	end, outside := last(r.end, r.outside, r.err)
	return end + ": " + outside
}

// last is how a story ended, and what was seen of it from outside, or why it is not as it must be.
func last(end, outside string, err error) (string, string) {
	if err != nil {
		return "NOT AS IT MUST BE", oneLine(err)
	}
	return end, outside
}

func cell(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", millis(d))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
