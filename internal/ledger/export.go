package ledger

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// ExportFormats are what Export writes.
func ExportFormats() []string { return []string{"jsonl", "csv"} }

// Export writes everything except secrets. As JSON lines: cards, each with its person and
// its certificates, then the log. As CSV: a line for each certificate, and for each card
// without one, with columns that Import reads.
func (l *Ledger) Export(ctx context.Context, format string, w io.Writer) error {
	to := &writer{to: w}
	switch format {
	case "jsonl":
		return to.result(l.exportLines(ctx, to))
	case "csv":
		return to.result(l.exportCSV(ctx, to))
	}
	return problem.New(problem.Usage, "unknown format: %q", format).Because("Valid formats: jsonl, csv.")
}

// writer keeps the error of a writer apart from those of the database.
type writer struct {
	to     io.Writer
	failed error
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err != nil {
		w.failed = err
	}
	return n, err
}

// result is the error of the writer, or else the other one.
func (w *writer) result(err error) error {
	if w.failed != nil {
		return w.failed
	}
	return err
}

func (l *Ledger) exportLines(ctx context.Context, w io.Writer) error {
	cards, err := l.Cards(ctx, Filter{})
	if err != nil {
		return err
	}
	lines := json.NewEncoder(w)
	for i := range cards {
		line := struct {
			Kind   string `json:"kind"`
			Number int64  `json:"personNumber,omitempty"` // as the log names the person
			CardDocument
		}{"card", personOf(&cards[i]), cards[i].Document()}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return l.Events(ctx, EventFilter{}, func(e Event) error {
		return lines.Encode(struct {
			Kind string `json:"kind"`
			EventDocument
		}{"event", e.Document()})
	})
}

func (l *Ledger) exportCSV(ctx context.Context, w io.Writer) error {
	cards, err := l.Cards(ctx, Filter{})
	if err != nil {
		return err
	}
	lines := csv.NewWriter(w)
	if err := lines.Write([]string{
		columnSerial, columnFamily, columnState, columnPerson, columnName,
		"ref", "subject", "issuer", "serial_number", "not_after", "key", "revoked",
	}); err != nil {
		return err
	}
	for i := range cards {
		d := cards[i].Document()
		if p := cards[i].Person; p != nil && p.ID == "" { // Import asks for somebody
			d.Person = fmt.Sprintf("forgotten %d", p.Number)
		}
		card := []string{d.Serial, d.Family, string(d.State), d.Person, d.Name}
		if len(d.Certificates) == 0 {
			err = lines.Write(harmless(append(card, make([]string, 7)...)))
		}
		for _, k := range d.Certificates {
			err = lines.Write(harmless(append(card[:5:5], k.Ref, k.Subject, k.Issuer, k.SerialNumber, moments(k.NotAfter), k.Key, k.Revoked)))
		}
		if err != nil {
			return err
		}
	}
	lines.Flush()
	return lines.Error()
}

// harmless are cells that no spreadsheet takes for a formula: names and subjects may come
// from anybody.
func harmless(cells []string) []string {
	for i, text := range cells {
		if formula(text) {
			cells[i] = "'" + text
		}
	}
	return cells
}

// formula reports whether a spreadsheet would compute a cell, or shows it with one
// apostrophe less.
func formula(text string) bool {
	text = strings.TrimLeft(text, "'")
	return text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0]))
}

// moments is a time for a program; empty for none.
func moments(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
