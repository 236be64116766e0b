package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// row is one sample of a file.
type row struct {
	at    time.Time // as written; the benchmark's times have no zone and are read as UTC
	value float64
}

// window is a labelled anomaly, by the indices of its first and its last row.
type window struct{ left, right int }

func (w window) width() int { return w.right - w.left + 1 }

// file is one series with its labels.
type file struct {
	name    string // below the corpus, such as realTraffic/speed_7578.csv
	rows    []row
	windows []window // in order, without overlap
}

// probation is how many rows at the start are for learning and are not judged.
func (f file) probation() int { return min(len(f.rows)*15/100, 750) }

// readCorpus reads the files that dir/windows.json names, in the order of their names.
func readCorpus(dir string) ([]file, error) {
	text, err := os.ReadFile(filepath.Join(dir, "windows.json"))
	if err != nil {
		return nil, err
	}
	var labels map[string][][2]string
	if err := json.Unmarshal(text, &labels); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, "windows.json"), err)
	}
	var files []file
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		f, err := readFile(dir, name, labels[name])
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s names no files", filepath.Join(dir, "windows.json"))
	}
	return files, nil
}

func readFile(dir, name string, labels [][2]string) (file, error) {
	if !filepath.IsLocal(name) {
		return file{}, fmt.Errorf("windows.json: %q is not below the corpus", name)
	}
	in, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return file{}, err
	}
	defer in.Close()
	f := file{name: name}
	if f.rows, err = readRows(in); err != nil {
		return file{}, fmt.Errorf("read %s: %w", name, err)
	}
	for _, l := range labels {
		w, err := f.find(l)
		if err != nil {
			return file{}, fmt.Errorf("windows.json: %s: %w", name, err)
		}
		f.windows = append(f.windows, w)
	}
	return f, nil
}

// readRows reads lines of timestamp,value below a heading.
func readRows(in io.Reader) ([]row, error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord = 2
	if _, err := r.Read(); err != nil {
		return nil, fmt.Errorf("heading: %w", err)
	}
	var rows []row
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		at, err := time.Parse(time.DateTime, fields[0])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		value, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		rows = append(rows, row{at, value})
	}
}

// find gives the rows of a label, whose times are those of rows.
func (f file) find(label [2]string) (window, error) {
	var edges [2]int
	for i, text := range label {
		at, err := time.Parse(time.DateTime, text)
		if err != nil {
			return window{}, err
		}
		edges[i] = slices.IndexFunc(f.rows, func(r row) bool { return r.at.Equal(at) })
		if edges[i] < 0 {
			return window{}, fmt.Errorf("no row is of %s", text)
		}
	}
	w := window{edges[0], edges[1]}
	if n := len(f.windows); w.right <= w.left || n > 0 && w.left <= f.windows[n-1].right {
		return window{}, fmt.Errorf("window %s to %s is empty or begins before another one ends", label[0], label[1])
	}
	return w, nil
}
