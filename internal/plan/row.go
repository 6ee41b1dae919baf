package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/secret"
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

// mostEnviron is how many bytes the variables of a row can have. A variable of Windows can
// have 32,767 characters, one of Linux 128 KB.
const mostEnviron = 32_000

// checkEnviron refuses a row whose columns cannot be variables: no command would start.
func (r Row) checkEnviron() error {
	length := 0
	for _, variable := range r.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.Contains(value, "\x00") {
			return r.mistake("the column for %s has a NUL character", name).Because("The commands of the plan get each column as a variable.")
		}
		length += len(variable)
	}
	if length > mostEnviron {
		return r.mistake("the columns are too long for a command").Because("The commands of the plan get them as variables, which can have %d bytes in all.", mostEnviron)
	}
	return nil
}

// runs reports whether the plan has a command.
func (p *Plan) runs() bool {
	for _, issuer := range p.Issuers {
		if strings.HasPrefix(issuer.URL, "command:") {
			return true
		}
	}
	return slices.ContainsFunc(p.Sources(), secret.Source.Runs)
}
