package paper

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Letters are what became of the letters that were due.
type Letters struct {
	Letters []Printed `json:"letters"`
}

// Printed is a letter that was printed, or was not.
type Printed struct {
	Person string `json:"person"`
	File   string `json:"file,omitempty"`
	// Error is why it was not printed.
	Error string `json:"error,omitempty"`
}

// PrintAll is Print for several persons. deliver returns the file of the letter, if there is
// one. The error is that of all letters that failed; those after it are printed if what
// failed is that of one person alone.
func PrintAll(ctx context.Context, books Books, t *Template, due []ledger.Due, keys ledger.Keys, now time.Time,
	deliver func(ctx context.Context, name string, letter *secret.Bytes) (file string, err error)) (all Letters, failed error) {
	all.Letters = []Printed{}
	for i := range due {
		one := Printed{Person: due[i].Person.ID}
		err := Print(ctx, books, t, &due[i], keys, now, func(ctx context.Context, name string, letter *secret.Bytes) (err error) {
			one.File, err = deliver(ctx, name, letter)
			return err
		})
		if err != nil {
			one.Error = err.Error()
			failed = errors.Join(failed, problem.Wrap(problem.Failed, err, "the letter to "+one.Person))
		}
		all.Letters = append(all.Letters, one)
		if err != nil && !ofOne(err) {
			break
		}
	}
	return all, failed
}

// ofOne reports whether a letter failed for what is that of its person alone: secrets that
// are sealed to somebody else, or a file that exists.
func ofOne(err error) bool { return problem.Is(err, problem.Mismatch) || errors.Is(err, fs.ErrExist) }

// Text shows the letters.
func (all *Letters) Text(s *output.Sheet) {
	if len(all.Letters) == 0 {
		s.Heading("No letter is due")
		return
	}
	s.Heading("Printed letters")
	for _, one := range all.Letters {
		if one.Error != "" {
			one.File = "not printed: " + one.Error
		}
		s.Field(one.Person, one.File)
	}
}
