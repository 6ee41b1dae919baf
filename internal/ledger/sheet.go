package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/spreadsheet"
)

// MaxImport is the longest file that Import reads, in bytes.
const MaxImport = 64 << 20

// The columns that Import reads, besides those of SecretNames. Others are passed over.
const (
	columnSerial = "serial"
	columnFamily = "family"
	columnState  = "state"
	columnPerson = "person"
	columnName   = "name"
)

// Sheet is what a CSV file says of cards.
type Sheet struct {
	Cards []Imported
	// Passed are the columns that are passed over.
	Passed []string
}

// Secrets is how many secrets there are.
func (s *Sheet) Secrets() (n int) {
	for i := range s.Cards {
		n += len(s.Cards[i].Plain)
	}
	return n
}

// Wipe overwrites the secrets.
func (s *Sheet) Wipe() {
	for i := range s.Cards {
		for _, value := range s.Cards[i].Plain {
			value.Wipe()
		}
	}
}

// ReadCards reads a CSV file with a header: the serial of a card, whose it is, its state,
// and its PUK and the like. Columns may be parted by semicolons. A card whose state is not
// said is active if it is somebody's, and stock otherwise. Errors name a line, and never
// repeat what stands there: it may be a secret.
func ReadCards(data []byte) (sheet *Sheet, err error) {
	sheet = &Sheet{Passed: []string{}}
	defer func() {
		if err != nil {
			sheet.Wipe()
			sheet = nil
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if !utf8.Valid(text) || bytes.ContainsRune(text, 0) {
			return sheet, problem.New(problem.Usage, "line %d is not UTF-8", line).
				Because("Save the spreadsheet as \"CSV UTF-8\".")
		}
	}
	r, skipped := spreadsheet.Reader(data)
	r.TrimLeadingSpace = r.Comma != '\t'
	header, err := nextOf(r)
	if err != nil {
		return sheet, badCSV(err, skipped)
	}
	columns := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			continue // as spreadsheets write columns that were emptied
		}
		if _, twice := columns[name]; twice {
			return sheet, problem.New(problem.Usage, "line 1: there are two columns %s", name)
		}
		columns[name] = i
		if !slices.Contains([]string{columnSerial, columnFamily, columnState, columnPerson, columnName}, name) && !slices.Contains(SecretNames(), name) {
			sheet.Passed = append(sheet.Passed, name)
		}
	}
	if _, ok := columns[columnSerial]; !ok {
		return sheet, problem.New(problem.Usage, "line 1: there is no column serial").
			Because("Columns are serial, person, name, family, state, %s.", strings.Join(SecretNames(), ", "))
	}
	seen := map[string]place{}
	for {
		record, err := nextOf(r)
		if errors.Is(err, io.EOF) {
			return sheet, nil
		}
		if err != nil {
			return sheet, badCSV(err, skipped)
		}
		line, _ := r.FieldPos(0)
		line += skipped
		card, err := cardOf(line, record, columns)
		sheet.Cards = append(sheet.Cards, card)
		if err != nil {
			return sheet, err
		}
		first, twice := seen[card.Serial]
		if !twice {
			seen[card.Serial] = place{line, len(sheet.Cards) - 1}
			continue
		}
		if !same(&sheet.Cards[first.at], &card) {
			return sheet, problem.New(problem.Usage, "line %d: the card is in line %d already, with other values", line, first.line)
		}
		sheet.Cards = sheet.Cards[:len(sheet.Cards)-1] // an export has a line for each certificate
	}
}

// nextOf is the next line that has a value.
func nextOf(r *csv.Reader) ([]string, error) {
	for {
		if values, err := r.Read(); err != nil || !spreadsheet.Emptied(values) {
			return values, err
		}
	}
}

// badCSV names the line of what is no CSV.
func badCSV(err error, skipped int) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return problem.New(problem.Usage, "line %d is not CSV", parse.Line+skipped).Because("%s", problem.Sentence(parse.Err.Error()))
	}
	return problem.New(problem.Usage, "the file has no header").Because("The first line names the columns.")
}

// place is where a card stands.
type place struct{ line, at int }

// same reports whether two lines say the same of a card.
func same(a, b *Imported) bool {
	return a.Family == b.Family && a.State == b.State && len(a.Plain) == 0 && len(b.Plain) == 0 &&
		(a.Person == nil) == (b.Person == nil) && (a.Person == nil || *a.Person == *b.Person)
}

// rounded reports whether a serial or a secret is a long number as spreadsheets write it:
// 1.23E+11.
func rounded(text string) bool {
	first, power, ok := strings.Cut(strings.ToUpper(text), "E+")
	return ok && power != "" && strings.Trim(first, "0123456789.,") == "" && strings.Trim(power, "0123456789") == ""
}

func cardOf(line int, record []string, columns map[string]int) (Imported, error) {
	get := func(name string) string {
		if at, ok := columns[name]; ok {
			return strings.TrimSpace(record[at])
		}
		return ""
	}
	plain := func(name string) string { // as it was before Export
		text := get(name)
		if shorter, ok := strings.CutPrefix(text, "'"); ok && formula(text) {
			return shorter
		}
		return text
	}
	e := Imported{Card: Card{Serial: exact(plain(columnSerial)), Family: plain(columnFamily)}, Plain: map[secret.Name]*secret.Bytes{}}
	switch {
	case e.Serial == "":
		return e, problem.New(problem.Usage, "line %d: the serial is empty", line)
	case rounded(e.Serial):
		return e, wasRounded(line, columnSerial)
	}
	for _, name := range []string{columnSerial, columnFamily, columnPerson, columnName} {
		if strings.ContainsFunc(get(name), secret.Unmeant) {
			return e, problem.New(problem.Usage, "line %d: the %s has a line break, or a character that is not seen", line, name).
				Because("Such a character may have been copied along. With it, it is another %s.", name)
		}
	}
	switch id, name := plain(columnPerson), plain(columnName); {
	case id != "":
		e.Person = &Person{ID: id, Name: name}
	case name != "":
		e.Person = &Person{ID: name, Name: name}
	}
	e.State = Stock
	if e.Person != nil {
		e.State = Active
	}
	if text := get(columnState); text != "" {
		state, err := ParseState(strings.ToLower(text))
		if err != nil {
			return e, problem.New(problem.Usage, "line %d: unknown state", line).Because("Valid states: %s.", listed(States()))
		}
		e.State = state
	}
	if e.Person == nil && e.State.Held() && e.State != Lost {
		return e, problem.New(problem.Usage, "line %d: a card that is %s is somebody's", line, e.State).Because("The columns person and name are empty.")
	}
	for _, name := range SecretNames() {
		value := get(name)
		if value == "" {
			continue
		}
		if rounded(value) {
			return e, wasRounded(line, name)
		}
		meant, err := secret.Meant([]byte(value))
		if err == nil && !formed(SecretKind(name), value) {
			err = problem.New(problem.Usage, "it is not a key").Because("A key has 32, 48 or 64 hexadecimal digits.")
			meant.Wipe()
		}
		if err != nil {
			return e, problem.Wrap(problem.Usage, err, fmt.Sprintf("line %d: the secret in %s", line, name))
		}
		e.Plain[SecretKind(name)] = meant
	}
	return e, nil
}

// wasRounded is for a number that a spreadsheet did not keep whole.
func wasRounded(line int, column string) error {
	return problem.New(problem.Usage, "line %d: the %s was rounded", line, column).
		Because("The spreadsheet took it for a number. Make the column text, and enter the numbers again.")
}

// formed reports whether a secret can be one of its kind. Card keys are one, or three with
// colons between them.
func formed(kind secret.Name, value string) bool {
	keys := []string{value}
	switch kind {
	case secret.ManagementKey:
	case secret.CardKeys:
		keys = strings.Split(value, ":")
	default:
		return true
	}
	return (len(keys) == 1 || len(keys) == 3) && !slices.ContainsFunc(keys, func(key string) bool {
		return !slices.Contains([]int{32, 48, 64}, len(key)) || strings.Trim(key, "0123456789abcdefABCDEF") != ""
	})
}
