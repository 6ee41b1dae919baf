package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
)

// job is one run for one target.
type job struct {
	Options
	target target
	access desk.Access
	// key is the one that the program is to use, nil for none.
	key *subject
}

// Run writes, prints, checks or takes back what makes a program use a key. The report
// is good also with an error, if it names changes.
//
// Errors: problem.Usage for options that the target does not have, problem.NotFound for
// a program that is not installed, problem.NotSupported for a key that the program
// cannot use, problem.Refused for something foreign in the place of an entry.
func Run(ctx context.Context, d *desk.Desk, a desk.Access, o Options) (report Report, err error) {
	t, err := targetNamed(o.Target)
	if err != nil {
		return Report{}, err
	}
	if err := o.validate(&t); err != nil {
		return Report{}, err
	}
	o.System = o.System || t.machine
	if o.Agent && t.loads && o.Action != Undo {
		if err := o.loadClient(); err != nil {
			return Report{}, err
		}
	}
	if o.Profile != "" {
		if o.Profile, err = filepath.Abs(o.Profile); err != nil {
			return Report{}, err
		}
	}
	j := &job{Options: o, target: t, access: a}
	if o.Key == "" || o.Action == Undo {
		return j.asUser(ctx)
	}
	err = lend.With(ctx, d, a, o.Key, o.Module, o.Stored, func(ctx context.Context, k *lend.Key) error {
		if j.key, err = seen(ctx, k); err != nil {
			return err
		}
		report, err = j.asUser(ctx)
		return err
	})
	return report, err
}

// NeedsKey reports whether a target is set up for one key.
func NeedsKey(target string) bool {
	t, err := targetNamed(target)
	return err == nil && !t.keyless && !t.optional
}

// asUser does the job as the user whose programs are set up.
func (j *job) asUser(ctx context.Context) (Report, error) {
	if j.User != "" && !j.target.rules {
		home, err := become(j.User)
		if err != nil {
			return Report{}, err
		}
		j.Home, j.Dir = home, filepath.Join(home, ".local/state/cardctl/setup")
		j.Environ = environmentOf(j.Environ, j.User, home)
	}
	return j.do(ctx)
}

// environmentOf is an environment without the places of one user, and with those of
// another.
func environmentOf(environ []string, name, home string) []string {
	kept := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		variable, _, _ := strings.Cut(entry, "=")
		program, _, _ := strings.Cut(variable, "_")
		return slices.Contains([]string{"XDG", "GIT", "SSH", "OPENSSL"}, program) ||
			slices.Contains([]string{"HOME", "USER", "LOGNAME", "TMPDIR", "GNUPGHOME", "DBUS_SESSION_BUS_ADDRESS"}, variable)
	})
	return append(kept, "HOME="+home, "USER="+name, "LOGNAME="+name)
}

func (j *job) do(ctx context.Context) (report Report, err error) {
	if j.Action == "" {
		j.Action = Write
	}
	report = Report{Target: j.target.name, Scope: j.scope(&j.target), Action: j.Action, Changes: []Change{}}
	if err := j.placed(); err != nil {
		return report, err
	}
	if j.Action == Write || j.Action == Undo {
		unlock, err := lock(j.Dir)
		if err != nil {
			return report, err
		}
		defer unlock()
	}
	switch j.Action {
	case Print:
		err = j.print(ctx, &report)
	case Check:
		err = j.check(ctx, &report)
	case Undo:
		err = j.undo(ctx, &report)
	default:
		err = j.write(ctx, &report)
	}
	report.Completed = err == nil
	return report, err
}

func (j *job) print(ctx context.Context, report *Report) error {
	p, err := j.target.plan(ctx, j)
	if err != nil {
		return err
	}
	report.tell(p)
	for _, e := range p.entries {
		report.Changes = append(report.Changes, changeOf(e))
	}
	return nil
}

func (j *job) check(ctx context.Context, report *Report) error {
	if err := j.installed(); err != nil {
		return err
	}
	p, err := j.target.plan(ctx, j)
	if err != nil {
		return err
	}
	report.Notes = p.notes
	for _, e := range p.entries {
		is, different, err := e.look(ctx)
		switch {
		case err != nil:
			return err
		case is == foreign:
			report.Changes = append(report.Changes, changeOf(e).found(is, different))
			return problem.New(problem.Mismatch, "%s is not set up as cardctl does it", j.target.name).
				Because("%s has other values.", e.place()).Advise(setUp(j.target.name))
		case is == absent:
			return problem.New(problem.NotFound, "%s is not set up", j.target.name).
				Because("%s does not have what cardctl writes.", e.place()).Advise(setUp(j.target.name))
		}
	}
	report.Seen, err = j.target.check(ctx, j)
	return err
}

func (j *job) undo(ctx context.Context, report *Report) error {
	r, err := j.recorded(report.Scope)
	if err != nil {
		return err
	}
	if r == nil {
		return problem.New(problem.NotFound, "cardctl did not set up %s", j.target.name).
			Because("There is no record of it for: %s.", report.Scope).
			Advise(setUp(j.target.name))
	}
	report.Scope = r.Scope
	stays := func(e entry) bool { return !j.DeleteAdopted && adopted(e) }
	going, err := r.removal(ctx, stays)
	if err != nil {
		return err
	}
	report.Changes = going.changes
	if err := j.confirm(ctx, "Remove", going.changes); err != nil {
		return err
	}
	if err := going.carryOut(ctx); err != nil {
		return err
	}
	report.Next, report.Notes = r.Next, r.Lasting
	for _, k := range r.Entries {
		if _, isFile := k.entry.(*file); stays(k.entry) && !isFile {
			report.Notes = append(report.Notes, "Stays: "+k.place())
		}
	}
	return r.forget()
}

// adopted reports whether an entry belongs to a key that a program adopted.
func adopted(e entry) bool {
	s, is := e.(staying)
	return is && s.stays()
}

// recorded is the record that is meant: the one of the scope that was named, or the
// only one.
func (j *job) recorded(scope string) (*record, error) {
	if j.System || j.User != "" || j.Profile != "" || j.directory(j.target.variable) != "" {
		return j.load(scope)
	}
	r, err := loadAny(j.Dir, j.target.name)
	return j.equip(r), err
}

// load reads the record of a scope; nil if there is none.
func (j *job) load(scope string) (*record, error) {
	r, err := load(j.Dir, j.target.name, scope)
	return j.equip(r), err
}

// equip gives the entries of a record what they need.
func (j *job) equip(r *record) *record {
	if r == nil {
		return nil
	}
	for _, k := range r.Entries {
		if e, is := k.entry.(equipped); is {
			e.runBy(j.runProgram)
		}
	}
	return r
}

func (j *job) write(ctx context.Context, report *Report) error {
	if err := j.installed(); err != nil {
		return err
	}
	p, err := j.target.plan(ctx, j)
	if err != nil {
		return err
	}
	report.tell(p)
	if j.target.parse != nil {
		if err := j.target.parse(ctx, j); err != nil {
			return err
		}
	}
	old, err := j.load(report.Scope)
	if err != nil {
		return err
	}
	planned := func(e entry) bool {
		return adopted(e) || slices.ContainsFunc(p.entries, func(n entry) bool { return same(n, e) })
	}
	going, err := old.removal(ctx, planned)
	if err != nil {
		return err
	}
	if err := j.confirm(ctx, "Replace", going.changes); err != nil {
		report.Changes = going.changes
		return err
	}
	return j.writeAll(ctx, report, old, going, p)
}

// writeAll writes the entries that are not there yet, in the place of those that go.
// Nothing is changed before every question was answered. Entries that others wrote are
// not remembered, so that they are not taken back.
func (j *job) writeAll(ctx context.Context, report *Report, old *record, going removal, p plan) error {
	missing, err := j.missing(ctx, report, old, going, p)
	if err != nil {
		return err
	}
	if err := j.confirm(ctx, "Replace", report.Changes); err != nil {
		return err
	}
	for _, e := range missing {
		if a, is := e.(asking); is {
			if err := j.access.Confirm.Ask(ctx, a.question()); err != nil {
				return err
			}
		}
	}
	if err := free(missing); err != nil {
		return err
	}
	if err := going.carryOut(ctx); err != nil {
		return err
	}
	next := &record{Target: j.target.name, Scope: report.Scope, Next: p.undone, Lasting: p.lasting, path: recordPath(j.Dir, j.target.name, report.Scope)}
	for i, e := range p.entries {
		earlier := old.entryLike(e)
		switch {
		case earlier != nil:
			next.Entries = append(next.Entries, kept{earlier})
		case missing[i] != nil:
			if err := e.remember(ctx); err != nil {
				return err
			}
			next.Entries = append(next.Entries, kept{e})
		}
	}
	if len(next.Entries) == 0 {
		return old.forget()
	}
	if err := next.save(); err != nil {
		return err
	}
	for i := range report.Changes {
		e, isMissing := missing[i]
		if !isMissing {
			continue
		}
		if err := e.write(ctx); err != nil {
			if old == nil {
				next.forgetUnwritten(ctx)
			}
			return err
		}
		report.Changes[i].Done = true
	}
	return nil
}

// missing are the entries of a plan that are to be written, by their place in the
// report, which tells of all.
func (j *job) missing(ctx context.Context, report *Report, old *record, going removal, p plan) (map[int]entry, error) {
	missing := map[int]entry{}
	for i, e := range p.entries {
		is, difference, err := e.look(ctx)
		if err != nil {
			return nil, err
		}
		if _, asks := e.(asking); asks && is == present && old.entryLike(e) == nil {
			is, difference = foreign, "+ a PIN that cardctl does not know\n"
		}
		if going.makesRoom(e.place()) {
			is, difference = absent, "" // it was asked about already
		}
		report.Changes = append(report.Changes, changeOf(e).found(is, difference))
		if is != present {
			missing[i] = e
		}
	}
	return missing, nil
}

// confirm asks before something foreign is lost.
func (j *job) confirm(ctx context.Context, deed string, changes []Change) error {
	for _, c := range changes {
		if c.Was != Foreign {
			continue
		}
		if j.access.Notify != nil {
			j.access.Notify(c.Place + " differs:\n" + c.Difference)
		}
		err := j.access.Confirm.Ask(ctx, advice.Question{
			Deed: deed, Subject: "what is in " + c.Place, Lost: "It differs from what cardctl writes.",
		})
		if err != nil {
			return err
		}
	}
	return nil
}
