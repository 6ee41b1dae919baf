package plan

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"

	"github.com/cardctl/cardctl/internal/problem"
)

// readObjects reads JSON lines: a flat object in each line, whose values are strings or
// numbers. A column that an object does not have is absent in that row.
func readObjects(data []byte) (t table, err error) {
	number := 0
	seen := map[string]bool{}
	for line := range bytes.Lines(data) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(t.records) == MaxRows {
			return t, tooManyRows()
		}
		names, values, why := readObject(line)
		if why != "" {
			return t, problem.New(problem.Usage, "line %d: not a row", number).Because("%s", problem.Sentence(why))
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				t.header = append(t.header, name)
			}
		}
		if len(t.header) > maxColumns {
			return t, problem.New(problem.Usage, "line %d: too many columns", number).Because("A table can have %d.", maxColumns)
		}
		t.records = append(t.records, record{line: number, values: values})
	}
	return t, nil
}

// readObject reads one line; why is what is wrong with it.
func readObject(line []byte) (names []string, values map[string]string, why string) {
	const notAnObject = "a line has one JSON object"
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return nil, nil, notAnObject
	}
	values = map[string]string{}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, nil, notAnObject
		}
		if slices.Contains(names, name) {
			return nil, nil, "a name stands in it twice"
		}
		value, err := d.Token()
		if err != nil {
			return nil, nil, notAnObject
		}
		switch value := value.(type) {
		case string:
			values[name] = value
		case json.Number:
			values[name] = value.String()
		default:
			return nil, nil, "its values can be strings and numbers; leave out what has no value"
		}
		if names = append(names, name); len(names) > maxColumns {
			return nil, nil, "it has too many names"
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, notAnObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, notAnObject
	}
	return names, values, ""
}
