package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
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
	r := csv.NewReader(bytes.NewReader(data))
	r.TrimLeadingSpace = true
	if header, _, _ := bytes.Cut(data, []byte("\n")); bytes.Count(header, []byte(";")) > bytes.Count(header, []byte(",")) {
		r.Comma = ';'
	}
	header, err := r.Read()
	if err != nil {
		return sheet, badCSV(err)
	}
	columns := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
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
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return sheet, nil
		}
		if err != nil {
			return sheet, badCSV(err)
		}
		line, _ := r.FieldPos(0)
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

// badCSV names the line of what is no CSV.
func badCSV(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return problem.New(problem.Usage, "line %d is not CSV", parse.Line).Because("%s", problem.Sentence(parse.Err.Error()))
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

// rounded reports whether a serial is a long number as spreadsheets write it: 1.23E+11.
func rounded(serial string) bool {
	first, power, ok := strings.Cut(serial, "E+")
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
		return e, problem.New(problem.Usage, "line %d: the serial was rounded", line).
			Because("The spreadsheet took it for a number. Make the column text, and enter the serials again.")
	case strings.ContainsAny(e.Serial, "\r\n\x00"):
		return e, problem.New(problem.Usage, "line %d: the serial has a line break", line)
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
		if value := get(name); len(value) > secret.MaxLength {
			return e, problem.New(problem.Usage, "line %d: the secret in %s is too long", line, name).Because("At most %d bytes can be sealed.", secret.MaxLength)
		} else if value != "" {
			e.Plain[SecretKind(name)] = secret.New([]byte(value))
		}
	}
	return e, nil
}
