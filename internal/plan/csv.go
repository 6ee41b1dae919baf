package plan

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/spreadsheet"
)

// readCSV reads a table with a header.
func readCSV(data []byte) (t table, err error) {
	r, skipped := spreadsheet.Reader(data)
	r.ReuseRecord = true
	for {
		fields, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return t, nil
		case err != nil:
			return t, notCSV(err, skipped, len(t.header))
		}
		line, _ := r.FieldPos(0)
		line += skipped
		if spreadsheet.Emptied(fields) {
			continue
		}
		if t.header == nil {
			if t.header, err = headerOf(fields, line); err != nil {
				return t, err
			}
			continue
		}
		if len(t.records) == MaxRows {
			return t, tooManyRows()
		}
		values := make(map[string]string, len(fields))
		for i, value := range fields {
			if t.header[i] == "" && value != "" {
				return t, problem.New(problem.Usage, "line %d: a value in column %d, which has no name", line, i+1).Because("The first line of a table names its columns.")
			}
			values[t.header[i]] = strings.Clone(value)
		}
		t.records = append(t.records, record{line: line, values: values})
	}
}

func tooManyRows() error {
	return problem.New(problem.Usage, "the table is too long").Because("It can have %d rows.", MaxRows)
}

// headerOf are the names of the columns.
func headerOf(fields []string, line int) ([]string, error) {
	header := make([]string, len(fields))
	for i, name := range fields {
		header[i] = strings.TrimSpace(strings.Clone(name))
		switch {
		case header[i] == "":
			continue // as spreadsheets write columns that were emptied
		case slices.Contains(header[:i], header[i]):
			return nil, problem.New(problem.Usage, "line %d: there are two columns %q", line, shortened(header[i]))
		case i == maxColumns:
			return nil, problem.New(problem.Usage, "line %d: too many columns", line).Because("A table can have %d.", maxColumns)
		}
	}
	return header, nil
}

// notCSV puts what the reader reports into words. The line itself is not repeated.
func notCSV(err error, skipped, columns int) error {
	var at *csv.ParseError
	if !errors.As(err, &at) {
		return err
	}
	p := problem.New(problem.Usage, "line %d: not CSV", at.Line+skipped)
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		return problem.New(problem.Usage, "line %d: more or fewer values than the header has columns", at.Line+skipped).
			Because("The header has %d. A value with a separator in it stands in quotes.", columns)
	case errors.Is(err, csv.ErrBareQuote):
		return p.Because("A value with a quotation mark in it stands in quotes, and the mark twice.")
	case errors.Is(err, csv.ErrQuote):
		return p.Because("A value that begins with a quotation mark does not end with one.")
	}
	return p
}
