package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// Limits of a table.
const (
	MaxRowsFile = 1 << 27 // bytes
	MaxRows     = 1_000_000
	maxColumns  = 1000
)

// table is what a file says before the plan names its columns.
type table struct {
	header  []string
	records []record
}

// record is a line, or several; its values are by header, and missing ones are absent.
type record struct {
	line   int
	values map[string]string
}

// ReadRows reads a table, which name is the file of: CSV with a header, or JSON with an
// object in each line. Each row is complete and right for the plan, no person has two,
// and no card; what is wrong is a problem.Usage with the line.
func (p *Plan) ReadRows(data []byte, name string) ([]Row, error) {
	rows, err := p.readRows(data)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, name)
	}
	return rows, nil
}

func (p *Plan) readRows(data []byte) ([]Row, error) {
	if len(data) > MaxRowsFile {
		return nil, problem.New(problem.Usage, "the table is too long").Because("It can have %d MB.", MaxRowsFile>>20)
	}
	data, err := readText(data)
	if err != nil {
		return nil, err
	}
	if p.Person.ID == "" {
		return nil, problem.New(problem.Usage, "the plan names no person").Because("With a table, person.id has to say who each row is for.")
	}
	read := readCSV
	if begins := bytes.TrimLeft(data, " \t\r\n"); len(begins) > 0 && begins[0] == '{' {
		read = readObjects
	}
	t, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(t.records) == 0 {
		return nil, problem.New(problem.Usage, "the table has no row")
	}
	names, err := p.named(t.header)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(t.records))
	for i, r := range t.records {
		rows[i] = Row{Number: i + 1, Line: r.line, Values: make(map[string]string, len(r.values))}
		for header, value := range r.values {
			if name, ok := names[header]; ok {
				rows[i].Values[name] = strings.TrimSpace(value)
			}
		}
	}
	return rows, p.checkRows(rows)
}

// named are the names of the plan for columns of a header. What no plan can name, and is
// not given another name, is left out.
func (p *Plan) named(header []string) (map[string]string, error) {
	other := map[string]string{}
	for name, column := range p.Columns {
		if !slices.Contains(header, column) {
			return nil, problem.New(problem.Usage, "there is no column %q", column).
				Because("The plan calls it %s. The columns are %s.", name, quoted(header))
		}
		other[column] = name
	}
	names := map[string]string{}
	by := map[string]string{} // header, by name in lower case: variables are in upper case
	for _, column := range header {
		name := column
		if renamed := other[column]; renamed != "" {
			name = renamed
		}
		if !isColumn(name) {
			continue // nothing can use it
		}
		if twin, twice := by[strings.ToLower(name)]; twice {
			return nil, problem.New(problem.Usage, "two columns have the same name").Because("%q and %q: give one another name.", twin, column)
		}
		by[strings.ToLower(name)], names[column] = column, name
	}
	for _, name := range p.used {
		if !slices.Contains(slices.Collect(maps.Values(names)), name) {
			return nil, missing(name, header)
		}
	}
	return names, nil
}

// missing is for a column that the plan uses.
func missing(name string, header []string) error {
	p := problem.New(problem.Usage, "there is no column %s", name)
	near := nearest(name, header)
	switch {
	case near == "":
		return p.Because("The plan uses it. The columns are %s.", quoted(header))
	case isColumn(near):
		return p.Because("The plan uses it. Is it %s? The columns are %s.", near, quoted(header))
	}
	return p.Because("The plan uses it. If it is %q, give that column another name in the field columns of the plan.", near)
}

// quoted are the first words of a list.
func quoted(words []string) string {
	const most = 20
	var list []string
	for i, w := range words {
		if i == most {
			list = append(list, "…")
			break
		}
		list = append(list, fmt.Sprintf("%q", shortened(w)))
	}
	return strings.Join(list, ", ")
}

func shortened(w string) string {
	const most = 40
	if r := []rune(w); len(r) > most {
		return string(r[:most]) + "…"
	}
	return w
}

// checkRows fills the plan from each row, and refuses a person or a card with two.
func (p *Plan) checkRows(rows []Row) error {
	persons, cards, runs := map[string]int{}, map[string]int{}, p.runs()
	for _, r := range rows {
		filled, err := p.For(r)
		if err == nil && runs {
			err = r.checkEnviron()
		}
		if err != nil {
			return err
		}
		if line, twice := persons[filled.Person.ID]; twice {
			return r.mistake("%q has line %d too", filled.Person.ID, line).Because("A person has one row, and person.id tells persons apart.")
		}
		persons[filled.Person.ID] = r.Line
		serial := strings.ToUpper(filled.Card.Serial)
		if line, twice := cards[serial]; twice && serial != "" {
			return r.mistake("the card %s has line %d too", serial, line).Because("A card is for one row.")
		}
		cards[serial] = r.Line
	}
	return nil
}
