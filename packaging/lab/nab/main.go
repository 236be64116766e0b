// Command nab computes the figure of the Numenta Anomaly Benchmark (NAB 1.1) for the detector of pkg/anomaly: over any
// folder that has a windows.json with the labelled windows of each file below it, and those files, with lines of
// timestamp,value.
//
// Each file is read once, in order, from a fresh detector. One threshold for all files turns scores into detections, the
// best one for each profile, as the benchmark does it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"github.com/salveops/salve/pkg/anomaly"
)

func main() {
	files := pflag.Bool("files", false, "a line for each file, too")
	pflag.Parse()
	err := errors.New("usage: nab [--files] DIR")
	if pflag.NArg() == 1 {
		err = run(os.Stdout, pflag.Arg(0), *files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nab:", err)
		os.Exit(1)
	}
}

// run prints the figures of the corpus in dir.
func run(out io.Writer, dir string, each bool) error {
	files, err := readCorpus(dir)
	if err != nil {
		return err
	}
	scores := detect(files)
	rows, windows := 0, 0
	for _, f := range files {
		rows += len(f.rows)
		windows += len(f.windows)
	}
	fmt.Fprintf(out, "%d files, %d rows, %d windows\n\n", len(files), rows, windows)

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "detector\tprofile\tfigure\tthreshold\tfound\talarms\tat", anomaly.Usual)
	for _, p := range profiles {
		best, figure := p.best(files, scores)
		_, usual := p.at(anomaly.Usual, files, scores)
		fmt.Fprintf(w, "Salve\t%s\t%.1f\t%.3f\t%d\t%d\t%.1f\n",
			p.name, figure, best.threshold, best.found, best.alarms, usual)
	}
	standard := profiles[0]
	fmt.Fprintf(w, "Salve\tstandard, thresholds of other files\t%.1f\n", standard.crossed(files, scores))
	best, figure := standard.best(files, reference(files))
	fmt.Fprintf(w, "windowed Gaussian\tstandard\t%.1f\t\t%d\t%d\n", figure, best.found, best.alarms)
	if each {
		best, _ := standard.best(files, scores)
		fmt.Fprintln(w, "\nfile\traw\twindows\tfound\talarms")
		for i, f := range files {
			t, _ := standard.at(best.threshold, files[i:i+1], scores[i:i+1])
			fmt.Fprintf(w, "%s\t%.2f\t%d\t%d\t%d\n",
				strings.TrimSuffix(f.name, ".csv"), t.raw, len(f.windows), t.found, t.alarms)
		}
	}
	return w.Flush()
}

// detect gives every row the onset of its anomaly: the benchmark counts each row that is called one.
func detect(files []file) [][]float64 {
	scores := make([][]float64, len(files))
	for i, f := range files {
		d := anomaly.New()
		scores[i] = make([]float64, len(f.rows))
		for j, r := range f.rows {
			scores[i][j] = d.Observe(r.at, r.value).Onset
		}
	}
	return scores
}

func reference(files []file) [][]float64 {
	scores := make([][]float64, len(files))
	for i, f := range files {
		var g gaussian
		for _, r := range f.rows {
			scores[i] = append(scores[i], g.score(r.value))
		}
	}
	return scores
}
