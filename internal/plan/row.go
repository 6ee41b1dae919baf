package plan

import (
	"maps"
	"slices"
	"strings"
)

// Row is a row of a table.
type Row struct {
	// Number counts the rows, from 1; Line is where it begins in the file.
	Number, Line int
	// Values are by column, in the names of the plan.
	Values map[string]string
}

// environment is what the variables with the columns of a row begin with.
const environment = "CARDCTL_ROW_"

// Environ are the columns as variables for commands, such as CARDCTL_ROW_MAIL, in
// alphabetical order: a command gets them this way only.
func (r Row) Environ() []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		env = append(env, environment+strings.ToUpper(name)+"="+r.Values[name])
	}
	return env
}
