package setup

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// record is what was written for a program. It is saved before anything is written, so
// that a run that was broken off can be completed or taken back.
type record struct {
	Target  string `json:"target"`
	Scope   string `json:"scope"`
	Entries []kept `json:"entries"`
	// Next are the commands that a person types after the entries were taken back.
	Next []string `json:"next,omitempty"`
	// Lasting is what was not taken back.
	Lasting []string `json:"lasting,omitempty"`

	path string
}

// maxRecord bounds a record, in bytes: it has the files that there were, in base64.
const maxRecord = 4 * maxFile

// recordPath is where a record is kept.
func recordPath(dir, target, scope string) string {
	return filepath.Join(dir, target+"-"+digest([]byte(scope), 6)+".json")
}

// load reads the record of a target and scope; nil if there is none.
func load(dir, target, scope string) (*record, error) {
	return read(recordPath(dir, target, scope))
}

// read reads a record. Who can write one decides what is removed and overwritten, so
// that of another user is refused.
func read(path string) (*record, error) {
	data, err := readUpTo(path, maxRecord)
	if data == nil || err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err != nil || !trusted(info) {
		return nil, errors.Join(err, problem.New(problem.Refused, "%s is of another user, or others can write to it", path).
			Because("It says what cardctl wrote, and is to take back. Nothing was changed.").
			Advise(advice.Run("ls", "-l", path)))
	}
	r := &record{path: path}
	if err = json.Unmarshal(data, r); err == nil && (r.Target == "" || r.Scope == "") {
		err = errors.New("it has no target or no scope")
	}
	if err != nil {
		return nil, damaged(path, err)
	}
	return r, nil
}

func damaged(path string, err error) error {
	return problem.New(problem.Mismatch, "%s cannot be parsed", path).
		Because("It says what cardctl wrote. %s", problem.Sentence(err.Error())).
		Advise(advice.Run("mv", path, path+".old"))
}

// loadAny reads the only record of a target; nil if there is none.
func loadAny(dir, target string) (*record, error) {
	found, err := recordsOf(dir, target)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	var scopes []string
	for _, r := range found {
		scopes = append(scopes, r.Scope)
	}
	return nil, problem.New(problem.NotFound, "%s was set up more than once", target).
		Because("It was set up for: %s.", strings.Join(scopes, "; ")).
		Advise(advice.Repeat(valueOf(found[0].Scope)))
}

// recordsOf reads the records of a target.
func recordsOf(dir, target string) ([]*record, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, unreadable(dir, err)
	}
	var records []*record
	for _, f := range files {
		scope, ours := strings.CutPrefix(f.Name(), target+"-")
		if !ours || strings.Contains(scope, "-") || filepath.Ext(scope) != ".json" {
			continue
		}
		r, err := read(filepath.Join(dir, f.Name()))
		if err != nil {
			return records, err
		}
		if r != nil && r.Target == target {
			records = append(records, r)
		}
	}
	return records, nil
}

// valueOf is the option that names a scope.
func valueOf(scope string) advice.Value {
	kind, name, _ := strings.Cut(scope, " ")
	switch kind {
	case "system":
		return advice.Switch(advice.System)
	case "home":
		return advice.Fill(advice.User)
	}
	return advice.Set(Option(kind), name)
}

func (r *record) save() error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return unwritable(r.path, err)
	}
	if err := output.WriteFile(r.path, append(text, '\n'), 0o600); err != nil {
		return unwritable(r.path, err)
	}
	return nil
}

// entryLike is the entry that writes the same to the same place, nil for none.
func (r *record) entryLike(e entry) entry {
	if r == nil {
		return nil
	}
	for _, k := range r.Entries {
		if same(k.entry, e) {
			return k.entry
		}
	}
	return nil
}

// forgetUnwritten deletes a record of which nothing was written.
func (r *record) forgetUnwritten(ctx context.Context) {
	all, err := r.removal(ctx, func(entry) bool { return false })
	if err == nil && len(all.going) == 0 && all.carryOut(ctx) == nil {
		_ = r.forget() // Undo deletes it otherwise
	}
}

// forget deletes the record, if there is one.
func (r *record) forget() error {
	if r == nil {
		return nil
	}
	if err := os.Remove(r.path); err != nil {
		return unwritable(r.path, err)
	}
	return nil
}
