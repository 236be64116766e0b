package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// agentPackages have the benchmarks of the paths that a sample and a decision take.
var agentPackages = []string{
	"./agent/internal/observe/...",
	"./pkg/series", "./pkg/exposition", "./pkg/expr", "./pkg/rule", "./pkg/healing",
	"./agent/internal/heal", "./agent/internal/journal",
}

// controllerPackages have the benchmarks of the path that a command takes, and of what Raft keeps its log in.
var controllerPackages = []string{"./controller/internal/..."}

// keptPackages have those of what is kept of a signal: what is usual of it, and what it was.
var keptPackages = []string{"./pkg/anomaly", "./pkg/recording", "./pkg/series"}

// keptBenchmarks are theirs.
const keptBenchmarks = "^Benchmark(Observe|Block|Anomaly)$"

// GoBench is one line of `go test -bench`.
type GoBench struct {
	Package string
	Name    string // without "Benchmark" and the number of processors
	NS      float64
	Bytes   float64
	Allocs  float64
	Extra   string // metrics of the benchmark's own, as "2.5 µs/read"
}

// goBenchmarks runs those benchmarks of the module that contains the working directory whose names match.
func goBenchmarks(ctx context.Context, match string, packages []string) ([]GoBench, error) {
	args := append([]string{"test", "-run=^$", "-bench=" + match, "-benchmem", "-benchtime=0.5s"}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run go benchmarks: %w\n%s%s", err, out, errs.Bytes())
	}
	return parseGoBench(bytes.NewReader(out))
}

// parseGoBench reads what `go test -bench` prints.
func parseGoBench(r io.Reader) ([]GoBench, error) {
	var found []GoBench
	pkg := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 2 && f[0] == "pkg:":
			pkg = strings.TrimPrefix(f[1], "github.com/salveops/salve/")
		case len(f) >= 4 && strings.HasPrefix(f[0], "Benchmark"):
			g, err := parseGoBenchLine(f)
			if err != nil {
				return nil, fmt.Errorf("read %q: %w", lines.Text(), err)
			}
			g.Package = pkg
			found = append(found, g)
		}
	}
	return found, lines.Err()
}

// parseGoBenchLine reads name, count, and then pairs of value and unit.
func parseGoBenchLine(f []string) (GoBench, error) {
	g := GoBench{Name: strings.TrimPrefix(f[0], "Benchmark")}
	if dash := strings.LastIndexByte(g.Name, '-'); dash > 0 {
		if _, err := strconv.Atoi(g.Name[dash+1:]); err == nil {
			g.Name = g.Name[:dash]
		}
	}
	var extra []string
	for i := 2; i+1 < len(f); i += 2 {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return g, err
		}
		switch f[i+1] {
		case "ns/op":
			g.NS = v
		case "B/op":
			g.Bytes = v
		case "allocs/op":
			g.Allocs = v
		default:
			extra = append(extra, f[i]+" "+f[i+1])
		}
	}
	g.Extra = strings.Join(extra, ", ")
	return g, nil
}
