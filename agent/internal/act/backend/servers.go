package backend

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// State is a server of a backend, as HAProxy sees it.
type State struct {
	Name     string
	Running  bool // by its checks, or it has none
	Admin    int  // what was done to it by hand or by configuration, in bits; 0: nothing
	Weight   int  // 0: it takes no new sessions
	Sessions int
}

// Bits of State.Admin.
const (
	ForcedMaint = 0x01
	ForcedDrain = 0x08
)

// Up reports whether it takes requests.
func (s State) Up() bool { return s.Running && s.Admin == 0 && s.Weight > 0 }

// States are all servers of a backend.
type States []State

// Split finds the server of that name, nil if there is none, and counts the others that take requests.
func (all States) Split(name string) (own *State, others int) {
	for i, s := range all {
		switch {
		case s.Name == name:
			own = &all[i]
		case s.Up():
			others++
		}
	}
	return own, others
}

// parseServers reads the answers to "show servers state" and "show stat".
func parseServers(states, stat []byte) (States, error) {
	text, ok := strings.CutPrefix(string(states), "1\n# ")
	if !ok {
		return nil, fmt.Errorf("read the servers of HAProxy: it says %q", firstLine(states))
	}
	sessions, err := sessionsOf(stat)
	if err != nil {
		return nil, fmt.Errorf("read the sessions of HAProxy: %w", err)
	}
	header, rows, _ := strings.Cut(text, "\n")
	columns := strings.Fields(header)
	var all States
	for line := range strings.Lines(rows) {
		cells := strings.Fields(line)
		if len(cells) == 0 {
			continue
		}
		var bad error
		cell := func(name string) string {
			i := slices.Index(columns, name)
			if i < 0 || i >= len(cells) {
				bad = fmt.Errorf("read the servers of HAProxy: there is no %s", name)
				return ""
			}
			return cells[i]
		}
		number := func(name string) int {
			n, err := strconv.ParseUint(cell(name), 10, 31)
			if bad == nil && err != nil {
				bad = fmt.Errorf("read the servers of HAProxy: %s: %w", name, err)
			}
			return int(n)
		}
		s := State{Name: cell("srv_name"), Running: number("srv_op_state") == 2, Admin: number("srv_admin_state"),
			Weight: number("srv_uweight")}
		if bad != nil {
			return nil, bad
		}
		if s.Sessions, ok = sessions[s.Name]; !ok {
			return nil, fmt.Errorf("read the servers of HAProxy: nothing is said of the sessions of %q", s.Name)
		}
		all = append(all, s)
	}
	return all, nil
}

// sessionsOf reads the answer to "show stat".
func sessionsOf(stat []byte) (map[string]int, error) {
	text, isTable := bytes.CutPrefix(stat, []byte("# "))
	if !isTable {
		return nil, fmt.Errorf("it says %q", firstLine(stat))
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.LazyQuotes = true // and a row that was cut off is an error
	rows, err := in.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, cmp.Or(err, errors.New("it is empty"))
	}
	name, current := slices.Index(rows[0], "svname"), slices.Index(rows[0], "scur")
	if name < 0 || current < 0 {
		return nil, errors.New("there is no svname, or no scur")
	}
	sessions := map[string]int{}
	for _, row := range rows[1:] {
		n, err := strconv.ParseUint(row[current], 10, 31)
		if err != nil {
			return nil, fmt.Errorf("scur: %w", err)
		}
		sessions[row[name]] = int(n)
	}
	return sessions, nil
}

// firstLine is what HAProxy says in words, bounded.
func firstLine(raw []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(raw[:min(len(raw), 200)])), "\n")
	return strings.ToValidUTF8(line, "?")
}
