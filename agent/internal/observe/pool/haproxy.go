package pool

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/salveops/salve/agent/internal/haproxy"
)

// balancer asks HAProxy about one backend.
type balancer struct{ address, backend string }

func (h balancer) ask(ctx context.Context) (reading, error) {
	raw, err := haproxy.Stat(ctx, h.address, h.backend, 6) // backend and servers
	if err != nil {
		return nil, err
	}
	return parseStat(raw, h.backend)
}

func (balancer) close() {}

// parseStat reads the answer to "show stat": a table, or a line that says why there is none.
func parseStat(raw []byte, backend string) (reading, error) {
	text, isTable := bytes.CutPrefix(raw, []byte("# "))
	if !isTable {
		return nil, fmt.Errorf("ask HAProxy for backend %s: it says %.100q", backend, bytes.TrimSpace(raw))
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.ReuseRecord, in.LazyQuotes = true, true // and a row that was cut off is an error
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("read answer of HAProxy: %w", err)
	}
	columns := map[string]int{}
	for i, name := range header {
		columns[name] = i
	}
	for _, name := range []string{"svname", "status", "qcur", "scur", "slim"} {
		if _, ok := columns[name]; !ok {
			return nil, fmt.Errorf("read answer of HAProxy: it has no column %s", name)
		}
	}
	var b balance
	_, b.tellsIdle = columns["srv_icur"] // since HAProxy 2.0
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return b.reading()
		}
		if err == nil {
			err = b.add(stat{columns, row})
		}
		if err != nil {
			return nil, fmt.Errorf("read answer of HAProxy: %w", err)
		}
	}
}

// stat is one row of the table.
type stat struct {
	columns map[string]int
	row     []string
}

func (s stat) text(name string) string {
	if i, ok := s.columns[name]; ok && i < len(s.row) {
		return s.row[i]
	}
	return ""
}

// number is 0 for an empty cell, which means that there is none of that, and for a column that there is not.
func (s stat) number(name string) (float64, error) {
	text := s.text(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("column %s: %w", name, err)
	}
	return float64(n), nil
}

// balance adds up the servers of a backend.
type balance struct {
	backend, unlimited    bool
	tellsIdle             bool
	servers, up           float64
	active, idle, waiting float64
	used, room            float64 // of the servers that are up
}

func (b *balance) add(s stat) error {
	var sessions, queued, limit, idle float64
	for _, c := range []struct {
		column string
		into   *float64
	}{{"scur", &sessions}, {"qcur", &queued}, {"slim", &limit}, {"srv_icur", &idle}} {
		v, err := s.number(c.column)
		if err != nil {
			return err
		}
		*c.into = v
	}
	b.waiting += queued
	if s.text("svname") == "BACKEND" {
		b.backend = true
		return nil
	}
	b.active += sessions
	b.idle += idle
	status := s.text("status")
	first, _, _ := strings.Cut(status, " ")
	switch {
	case first == "DRAIN", first == "MAINT" && status != "MAINT (resolution)": // a person took it out
		return nil
	case first == "UP", status == "no check":
		b.up++
		b.used += sessions
		b.room += limit
		b.unlimited = b.unlimited || limit == 0
	}
	b.servers++
	return nil
}

func (b *balance) reading() (reading, error) {
	if !b.backend {
		return nil, errors.New("read answer of HAProxy: it has no row of the backend itself")
	}
	r := reading{"active": b.active, "waiting": b.waiting}
	if b.tellsIdle {
		r["idle"] = b.idle
	}
	if b.servers > 0 {
		r["up_ratio"] = b.up / b.servers
	}
	if b.room > 0 && !b.unlimited {
		r["used_ratio"] = min(1, b.used/b.room)
	}
	return r, nil
}
