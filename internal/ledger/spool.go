package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

const spooled = ".json" // the ending of a record in the spool

// spool keeps a record that could not be written, one file of one line. The answer says
// so; why is what the ledger said.
func (l *Ledger) spool(f fact, why error) error {
	p := problem.Wrap(problem.Failed, why, "what was done could not be recorded in the ledger")
	if l.o.Spool == "" {
		return p
	}
	line, err := json.Marshal(f)
	if err == nil {
		err = os.MkdirAll(l.o.Spool, 0o700)
	}
	// Nobody reads a file of the spool before it is whole.
	name := filepath.Join(l.o.Spool, f.Token)
	if err == nil {
		err = output.NewPrivateFile(name, append(line, '\n'))
	}
	if err == nil {
		err = os.Rename(name, name+spooled)
	}
	if err != nil {
		return errors.Join(p, err)
	}
	l.spooled.Add(1)
	kept := "The record is kept in " + l.o.Spool + ". It is sent before the next record."
	return p.Because("%s", problem.Sentences(problem.Sentence(reason(why)), kept))
}

// reason is why, as the ledger said, or that it said nothing. What failed stands before it.
func reason(err error) string {
	var known *problem.Error
	if errors.As(err, &known) {
		return known.Reason()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the ledger does not answer"
	}
	return err.Error()
}

// catchUp sends what this process spooled: a record never comes before an older one of its
// station.
func (l *Ledger) catchUp(ctx context.Context) error {
	spooled := l.spooled.Load()
	if spooled == l.sent.Load() {
		return nil
	}
	if err := l.sendSpool(ctx); err != nil {
		return err
	}
	l.sent.Store(spooled)
	return nil
}

// sendSpool writes the records of this ledger that could not be written before. A record
// that is there already is not written again.
func (l *Ledger) sendSpool(ctx context.Context) error {
	if l.o.Spool == "" {
		return nil
	}
	files, err := os.ReadDir(l.o.Spool)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var waiting []fact
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), spooled) {
			continue
		}
		line, readErr := readSpooled(filepath.Join(l.o.Spool, file.Name()))
		if errors.Is(readErr, fs.ErrNotExist) {
			continue // another program has sent it
		}
		var f fact
		if err := errors.Join(readErr, json.Unmarshal(line, &f)); err != nil || f.Token+spooled != file.Name() || !f.complete() {
			name := filepath.Join(l.o.Spool, file.Name())
			return problem.New(problem.Mismatch, "%s is not a record of the ledger", name).
				Because("Nothing is recorded before it is moved elsewhere.").Advise(advice.Run("ls", "-l", name))
		}
		if f.Ledger == l.id {
			waiting = append(waiting, f)
		}
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot read "+l.o.Spool)
	}
	sortByTime(waiting)
	for _, f := range waiting {
		f.late = true
		err := l.apply(ctx, f)
		if problem.Is(err, problem.Refused) { // it says nothing of the tables as they are now
			f.over = true
			err = l.apply(ctx, f)
		}
		if err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(l.o.Spool, f.Token+spooled)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return problem.Wrap(problem.Failed, err, "cannot empty "+l.o.Spool)
		}
	}
	return nil
}

// readSpooled reads a file of the spool. What is no file, such as a pipe or a link, was not
// put there by spool.
func readSpooled(name string) ([]byte, error) {
	const longest = 1 << 20
	switch info, err := os.Lstat(name); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	return input.Regular(name, longest)
}

// complete reports whether a fact has what its kind needs.
func (f fact) complete() bool {
	switch f.What {
	case factCertified, factRevoked:
		return f.Credential != nil
	case factState:
		_, err := ParseState(string(f.State))
		return err == nil
	case factEnd, factNote, factSet, factErased, factLacks, factGone, factOver:
		return true
	}
	return false
}

// Waiting is how many records of this ledger are in the spool.
func (l *Ledger) Waiting() int {
	files, _ := filepath.Glob(filepath.Join(l.o.Spool, "*"+spooled)) // the pattern is well-formed
	return len(files)
}

// sortByTime puts facts into the order in which they were so.
func sortByTime(facts []fact) {
	slices.SortStableFunc(facts, func(a, b fact) int {
		return cmp.Or(cmp.Compare(a.Entry, b.Entry), a.At.Compare(b.At))
	})
}
