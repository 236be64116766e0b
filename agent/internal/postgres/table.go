package postgres

import (
	"fmt"
	"slices"
	"strconv"
)

// Table is the answer to one command: names of columns, and rows of text. What is null is "".
type Table struct {
	Columns []string
	Rows    [][]string
}

// Text is the cell of a row in the named column; false if there is no such column. Columns differ between versions.
func (t Table) Text(row []string, column string) (string, bool) {
	i := slices.Index(t.Columns, column)
	if i < 0 || i >= len(row) {
		return "", false
	}
	return row[i], true
}

// Cell is Text, and "" for a column that there is not.
func (t Table) Cell(row []string, column string) string {
	text, _ := t.Text(row, column)
	return text
}

// Number reads a cell as a whole number that is not negative.
func (t Table) Number(row []string, column string) (float64, error) {
	text, ok := t.Text(row, column)
	if !ok {
		return 0, fmt.Errorf("column %s is missing", column)
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("column %s: %w", column, err)
	}
	return float64(n), nil
}
