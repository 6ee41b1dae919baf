package pin

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Allow is what the user takes upon himself.
type Allow struct {
	// LastTry permits a PIN to be sent when one try is left.
	LastTry bool
	// UnknownTries permits a PIN to be sent when nothing tells the tries left.
	UnknownTries bool
}

// Policy sends the PINs of one card in one run of a command. It is not safe for
// concurrent use.
type Policy struct {
	ask   secret.Asker
	allow Allow
	*Memory
}

// Memory is of the PINs of one card that were sent and not accepted. None of them is sent
// again, by any policy that has it.
type Memory struct {
	unaccepted map[string]*unaccepted
	seed       maphash.Seed
}

// NewMemory is of nothing.
func NewMemory() *Memory {
	return &Memory{unaccepted: map[string]*unaccepted{}, seed: maphash.MakeSeed()}
}

// unaccepted is what became of a PIN.
type unaccepted struct {
	answer error    // of the card, to the last value
	values []uint64 // that were sent, hashed
	// another says that one which was not among them may be sent.
	another bool
}

// New returns a policy that has sent nothing yet.
func New(ask secret.Asker, allow Allow) *Policy { return NewMemory().Policy(ask, allow) }

// Policy returns one for a card that was let go meanwhile, and whose PINs others sent. The
// policies of a memory take turns.
func (m *Memory) Policy(ask secret.Asker, allow Allow) *Policy {
	return &Policy{ask: ask, allow: allow, Memory: m}
}

// Asks reports whether PINs are asked for at all: a command that only looks sends none.
func (p *Policy) Asks() bool { return p != nil && p.ask != nil }

// WrongError is a PIN that the card refused as a wrong one.
type WrongError struct {
	Left  Tries
	Cause error
}

func (e *WrongError) Error() string { return "wrong PIN: " + e.Cause.Error() }
func (e *WrongError) Unwrap() error { return e.Cause }

// Send asks for a PIN and hands it to send, once. send returns nil where the
// card accepted it, a *WrongError where the card said that it is wrong, and
// anything else for what says neither.
func (p *Policy) Send(ctx context.Context, what PIN, send func(context.Context, *secret.Bytes) error) error {
	before, values, err := p.collect(ctx, what, nil)
	if err != nil {
		return err
	}
	defer values.wipe()
	_, err = p.deliver(ctx, what, before, values.by, func() error { return send(ctx, values.by) })
	return err
}

// Ask asks for the value that a PIN shall have and checks its length. It is
// nil where it is optional and nobody gives it.
func (p *Policy) Ask(ctx context.Context, r secret.Request, what PIN) (*secret.Bytes, error) {
	value, err := p.ask(ctx, r)
	if err != nil || value == nil {
		return nil, err
	}
	what.Secret = r.Name
	if err := what.CheckLength(value); err != nil {
		value.Wipe()
		return nil, err
	}
	return value, nil
}

// Given returns a policy that goes on from this one with a secret that was
// asked for before: it hands out copies of value.
func (p *Policy) Given(value *secret.Bytes) *Policy {
	return p.With(func(context.Context, secret.Request) (*secret.Bytes, error) { return value.Clone(), nil })
}

// With returns a policy that goes on from this one and asks otherwise.
func (p *Policy) With(ask secret.Asker) *Policy {
	with := *p
	with.ask = ask
	return &with
}

// Before returns a policy that goes on from this one, and has a function called before a
// person is asked; its error ends the asking.
func (p *Policy) Before(called func() error) *Policy {
	return p.With(func(ctx context.Context, r secret.Request) (*secret.Bytes, error) {
		after := r.Waiting
		r.Waiting = func() error {
			if err := called(); err != nil || after == nil {
				return err
			}
			return after()
		}
		return p.ask(ctx, r)
	})
}

// Renewed says that a PIN got another value in another way than by Change, as on
// a card that was erased: what was not accepted before says nothing of it.
func (p *Policy) Renewed(what PIN) { delete(p.unaccepted, what.key()) }

// Unaccepted reports whether the last value of a PIN that was sent was not accepted.
func (p *Policy) Unaccepted(what PIN) bool { return p.unaccepted[what.key()] != nil }

// Another says that another value of a PIN is sent after one that was not accepted.
// One that was sent before is still not sent again.
func (p *Policy) Another(what PIN) {
	if last := p.unaccepted[what.key()]; last != nil {
		last.another = true
	}
}

// Check refuses a PIN that is blocked, would be after one more mistake, or of
// which that is not known.
func (p *Policy) Check(what PIN, left Tries) error {
	switch {
	case what.Tries == nil:
	case left.None():
		why := fmt.Sprintf("The %s was entered incorrectly too many times, or was never set.", what.Role.Name())
		return problem.New(problem.PINBlocked, "the %s is blocked", what.Name()).WithTries(0).
			Because("%s", problem.Sentences(why, what.Final)).Advise(what.Rescue)
	case left.Last() && !p.allow.LastTry:
		return problem.New(problem.PINBlocked, "the %s has one try left and was not sent", what.Name()).WithTries(1).
			Because("One more wrong entry would block it.").Advise(what.another(left))
	case !left.Known() && !p.allow.UnknownTries:
		return problem.New(problem.TriesUnknown, "the %s was not sent, because its tries left are unknown", what.Name()).
			Because("The card does not report them, and a wrong entry might block the %s.", what.Role.Name()).
			Advise(advice.Repeat(advice.Switch(advice.NoCount)))
	}
	return nil
}

// values are the secrets of one step.
type values struct {
	by, replacement *secret.Bytes
}

func (v *values) wipe() {
	v.by.Wipe()
	v.replacement.Wipe()
}

// collect reads the state, asks for what is to be sent, and reads the state
// again where time passed. It returns the state that the PIN is sent on.
func (p *Policy) collect(ctx context.Context, what PIN, replacement *PIN) (Tries, *values, error) {
	last := p.unaccepted[what.key()]
	if last != nil && !last.another {
		return Tries{}, nil, last.answer
	}
	left, err := p.state(ctx, what)
	if err != nil {
		return left, nil, err
	}
	passed := false
	got := &values{}
	if got.by, err = p.askOld(ctx, what, left, &passed); err == nil && replacement != nil {
		got.replacement, err = p.askNew(ctx, *replacement, &passed)
	}
	if err == nil && last != nil && slices.Contains(last.values, p.hash(got.by)) {
		err = last.answer
	}
	if err == nil && passed {
		left, err = p.state(ctx, what)
	}
	if err != nil {
		got.wipe()
		return left, nil, err
	}
	return left, got, nil
}

func (p *Policy) state(ctx context.Context, what PIN) (Tries, error) {
	if what.Tries == nil {
		return Tries{}, nil
	}
	left, err := what.Tries(ctx, false)
	if err != nil {
		return left, err
	}
	return left, p.Check(what, left)
}

func (p *Policy) askOld(ctx context.Context, what PIN, left Tries, passed *bool) (*secret.Bytes, error) {
	if what.Pad {
		return nil, nil
	}
	return p.Ask(ctx, noticing(what.request(left), passed), what)
}

func (p *Policy) askNew(ctx context.Context, what PIN, passed *bool) (*secret.Bytes, error) {
	if what.Pad {
		return nil, nil
	}
	return p.Ask(ctx, noticing(NewValue(what), passed), what)
}

// NewValue is how a person is asked for the value that a PIN shall have.
func NewValue(what PIN) secret.Request {
	return secret.Request{Name: secret.NewPIN, Label: "new " + what.Name(), Note: what.lengths(), New: true}
}

// noticing notes that time passes while somebody is asked.
func noticing(r secret.Request, passed *bool) secret.Request {
	r.Waiting = func() error { *passed = true; return nil }
	return r
}

// deliver sends what was collected and finds out what an answer means that is no
// plain success. refused says that the card certainly did nothing but count.
func (p *Policy) deliver(ctx context.Context, what PIN, before Tries, value *secret.Bytes, send func() error) (refused bool, err error) {
	if err = send(); err == nil {
		return false, nil
	}
	refused, err = judge(ctx, what, before, err)
	now := &unaccepted{answer: err, values: []uint64{p.hash(value)}}
	if last := p.unaccepted[what.key()]; last != nil {
		now.values = append(now.values, last.values...)
	}
	p.unaccepted[what.key()] = now
	return refused, err
}

func (p *Policy) hash(value *secret.Bytes) uint64 { return maphash.Bytes(p.seed, value.Reveal()) }

// judge makes of a failure what the user is told. The card is asked for the tries
// left again: one less is a wrong PIN, whatever was answered, and one that is
// called wrong and was not counted is not known to be.
func judge(ctx context.Context, what PIN, before Tries, err error) (refused bool, told error) {
	left, cause, called := calledWrong(err)
	if what.Tries != nil && ctx.Err() == nil && !gone(err) {
		switch now, failed := what.Tries(ctx, true); {
		case failed == nil && now.FewerThan(before):
			return true, what.wrong(now, cause)
		case failed == nil && called && now.uncounted(before):
			return false, what.uncounted(now, cause)
		case failed == nil && now.Known():
			left = now
		case gone(failed) && !called:
			return false, failed
		case failed == nil && !called && !now.Known() && notVerified(err):
			return true, what.wrong(now, err)
		}
	}
	if called {
		return true, what.wrong(left, cause)
	}
	return iso7816.Refused(err), err
}

// calledWrong reports whether the card, or the layer that knows it, said that the
// PIN is wrong, with the tries left that it told.
func calledWrong(err error) (left Tries, cause error, called bool) {
	var wrong *WrongError
	var told *problem.Error
	switch {
	case errors.As(err, &wrong):
		return wrong.Left, wrong.Cause, true
	case !errors.As(err, &told) || told.Code != problem.PINIncorrect && told.Code != problem.PINBlocked:
		return Unknown(), err, false
	case told.TriesLeft != nil:
		return Left(*told.TriesLeft), err, true
	}
	return Unknown(), err, true
}

// notVerified is the answer of a card that does not count aloud to a wrong PIN:
// there is nothing else that VERIFY would need.
func notVerified(err error) bool {
	var refused *iso7816.StatusError
	return errors.As(err, &refused) && refused.INS == iso7816.InsVerify && refused.Status == iso7816.StatusSecurityNotSatisfied
}

func gone(err error) bool { return problem.Gone(err) || errors.Is(err, iso7816.ErrCardRemoved) }

// wrong is the error of a PIN that the card refused.
func (p PIN) wrong(left Tries, cause error) *problem.Error {
	e := p.refused(left, cause)
	if e.Code == problem.PINBlocked {
		return e.Because("%s", problem.Sentences(e.Reason(), p.Final)).Advise(p.Rescue)
	}
	return e.Advise(p.another(left))
}

// refused says what the card did, in the words of who knows it, if they agree with
// the tries left.
func (p PIN) refused(left Tries, cause error) *problem.Error {
	n, counted := left.Count()
	var told *problem.Error
	if errors.As(cause, &told) && (!counted || told.TriesLeft != nil && *told.TriesLeft == n) {
		known := *told
		return &known
	}
	why := cause.Error()
	if told != nil {
		why = told.Reason()
	}
	e := problem.New(problem.PINIncorrect, "wrong %s", p.Name()).Because("%s", problem.Sentence(why))
	e.Cause = cause
	switch {
	case left.None():
		e.Code, e.What = problem.PINBlocked, e.What+", which is now blocked"
	case counted:
		e.What += ", " + left.Note()
	}
	if counted {
		return e.WithTries(n)
	}
	return e
}

// another is the same again with another value; the last try has to be allowed.
func (p PIN) another(left Tries) advice.Advice {
	var with []advice.Value
	if !p.Pad {
		with = append(with, advice.Ask(p.Secret))
	}
	if left.Last() {
		with = append(with, advice.Switch(advice.LastTry))
	}
	return advice.Repeat(with...)
}

// uncounted is the error of a PIN that the card called wrong and did not count as
// that.
func (p PIN) uncounted(left Tries, cause error) *problem.Error {
	e := problem.New(problem.PINIncorrect, "the card called the %s wrong but did not count a try, %s", p.Name(), left.Note()).
		WithTries(left.Number()).Advise(advice.Do(advice.ShowCard))
	e.Cause = cause
	return e.Because("%s", problem.Sentence(cause.Error()))
}

// key tells a PIN from the others of its card; each card has a Policy of its own.
func (p PIN) key() string { return string(p.Role) + " " + p.Label }
