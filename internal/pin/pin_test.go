package pin

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// world is a card with two PINs, and what happens around it in its order.
type world struct {
	log    []string
	left   Tries // of the PIN
	value  string
	typed  bool // somebody types: time passes
	values map[secret.Name]string
	gave   []*secret.Bytes
	// meanwhile is done while somebody types.
	meanwhile func()
}

func newWorld() *world {
	return &world{left: Left(3), value: "123456", values: map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "654321"}}
}

func (w *world) policy(allow Allow) *Policy {
	return New(func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
		w.log = append(w.log, "ask "+r.Label)
		if w.typed && r.Waiting != nil {
			if err := r.Waiting(); err != nil {
				return nil, err
			}
			if w.meanwhile != nil {
				w.meanwhile()
			}
		}
		value := secret.New([]byte(w.values[r.Name]))
		w.gave = append(w.gave, value)
		return value, nil
	}, allow)
}

func (w *world) pin() PIN {
	return PIN{Role: User, Secret: secret.PIN, Holder: "card 1", Min: 4, Max: 8, Rescue: advice.Do(advice.UnblockPIN), Tries: func(_ context.Context, again bool) (Tries, error) {
		if again {
			w.log = append(w.log, "state again")
		} else {
			w.log = append(w.log, "state")
		}
		return w.left, nil
	}}
}

// verify is a card that counts.
func (w *world) verify(_ context.Context, value *secret.Bytes) error {
	w.log = append(w.log, "send "+string(value.Reveal()))
	if string(value.Reveal()) == w.value {
		return nil
	}
	n, _ := w.left.Count()
	w.left = Left(n - 1)
	return &WrongError{Left: w.left, Cause: errors.New("the card said no")}
}

func status(s iso7816.Status) error { return &iso7816.StatusError{Status: s, INS: iso7816.InsVerify} }

// TestSendOrder: the state is read before a person is asked, and again if time
// passed; what was asked for is wiped.
func TestSendOrder(t *testing.T) {
	for typed, want := range map[bool]string{
		false: "state, ask user PIN of card 1, send 123456",
		true:  "state, ask user PIN of card 1, state, send 123456",
	} {
		w := newWorld()
		w.typed = typed
		if err := w.policy(Allow{}).Send(t.Context(), w.pin(), w.verify); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(w.log, ", "); got != want {
			t.Errorf("typed %v: %s", typed, got)
		}
		if w.gave[0].Len() != 0 {
			t.Error("the PIN was not wiped")
		}
	}
}

// TestSendRefuses has PINs that must not be sent.
func TestSendRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		left  Tries
		value string
		code  problem.Code
		allow Allow // with which it is sent
	}{
		"blocked":    {left: Left(0), code: problem.PINBlocked},
		"last try":   {left: Left(1), code: problem.PINBlocked, allow: Allow{LastTry: true}},
		"unknown":    {left: Unknown(), code: problem.TriesUnknown, allow: Allow{UnknownTries: true}},
		"too short":  {left: Left(3), value: "123", code: problem.Usage},
		"too long":   {left: Left(3), value: "123456789", code: problem.Usage},
		"not at all": {left: Several(), value: "-", code: problem.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.left = test.left
			if test.value != "" {
				w.values[secret.PIN] = strings.Trim(test.value, "-")
			}
			err := w.policy(Allow{}).Send(t.Context(), w.pin(), w.verify)
			if !problem.Is(err, test.code) || slices.ContainsFunc(w.log, sends) {
				t.Errorf("%v, %v", err, w.log)
			}
			if test.allow == (Allow{}) {
				return
			}
			if err := w.policy(test.allow).Send(t.Context(), w.pin(), w.verify); err != nil || !slices.ContainsFunc(w.log, sends) {
				t.Errorf("allowed: %v, %v", err, w.log)
			}
		})
	}
}

func sends(step string) bool { return strings.HasPrefix(step, "send") }

// TestSendLooksAgainAfterAPrompt has the last but one try used up by another
// program while a person types.
func TestSendLooksAgainAfterAPrompt(t *testing.T) {
	w := newWorld()
	w.typed, w.meanwhile = true, func() { w.left = Left(1) }
	err := w.policy(Allow{}).Send(t.Context(), w.pin(), w.verify)
	if !problem.Is(err, problem.PINBlocked) || slices.ContainsFunc(w.log, sends) {
		t.Errorf("%v, %v", err, w.log)
	}
}

// TestNotAcceptedIsNotSentAgain: whatever the card answered, by whichever name of
// the PIN.
func TestNotAcceptedIsNotSentAgain(t *testing.T) {
	for _, answer := range []error{&WrongError{Left: Left(2), Cause: errors.New("no")}, status(0x6985), status(0x6F00), status(0x6A80), status(0x6C10), iso7816.ErrCardReset} {
		w, sent := newWorld(), 0
		p := w.policy(Allow{})
		send := func(context.Context, *secret.Bytes) error { sent++; return answer }
		first := p.Send(t.Context(), w.pin(), send)
		second := p.Given(secret.New([]byte("123456"))).Send(t.Context(), w.pin(), send)
		if first == nil || !errors.Is(second, first) || sent != 1 {
			t.Errorf("%v: sent %d times: %v, %v", answer, sent, first, second)
		}
		other := w.pin()
		other.Label = "02"
		if p.Send(t.Context(), other, send); sent != 2 {
			t.Errorf("%v: another PIN was not sent", answer)
		}
		p.Renewed(w.pin())
		if p.Send(t.Context(), w.pin(), send); sent != 3 {
			t.Errorf("%v: the PIN that the card has now was not sent", answer)
		}
	}
}

// TestAnotherValueIsNoneThatWasSent: a PIN gets another value after one that was
// not accepted, and none of those before it a second time.
func TestAnotherValueIsNoneThatWasSent(t *testing.T) {
	w := newWorld()
	w.value = "000000"
	w.left = Left(9)
	p := w.policy(Allow{})
	for _, value := range []string{"111111", "222222", "111111", "222222", "000000"} {
		p.Another(w.pin())
		_ = p.Given(secret.New([]byte(value))).Send(t.Context(), w.pin(), w.verify)
	}
	sent := slices.DeleteFunc(slices.Clone(w.log), func(step string) bool { return !sends(step) })
	if got := strings.Join(sent, ", "); got != "send 111111, send 222222, send 000000" {
		t.Error(got)
	}
}

// TestAWrongPINOfACardThatTellsNoTries: it is one all the same.
func TestAWrongPINOfACardThatTellsNoTries(t *testing.T) {
	w := newWorld()
	w.left = Unknown()
	err := w.policy(Allow{UnknownTries: true}).Send(t.Context(), w.pin(), func(context.Context, *secret.Bytes) error { return status(0x6982) })
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.PINIncorrect || p.TriesLeft != nil {
		t.Error(err)
	}
}

// TestWhatToDoAfterAWrongPIN: what can be typed as it is and is not refused again.
func TestWhatToDoAfterAWrongPIN(t *testing.T) {
	again := advice.Ask(secret.PIN)
	for left, want := range map[int]advice.Advice{
		2: advice.Repeat(again),
		1: advice.Repeat(again, advice.Switch(advice.LastTry)),
		0: advice.Do(advice.ShowCard),
	} {
		w := newWorld()
		w.left = Left(left + 1)
		admin := w.pin()
		admin.Rescue, admin.Final = advice.Do(advice.ShowCard), OnlyInitialising
		err := w.policy(Allow{LastTry: true}).Given(secret.New([]byte("000000"))).Send(t.Context(), admin, w.verify)
		var p *problem.Error
		if !errors.As(err, &p) || !reflect.DeepEqual(p.Next, want) || strings.Contains(p.Why, OnlyInitialising) != (left == 0) {
			t.Errorf("%d left: %v, %+v", left, err, p.Next)
		}
	}
}

// TestFewTriesAreShown: a person is told before the PIN is typed.
func TestFewTriesAreShown(t *testing.T) {
	if few := Few(); few.Note() == "" || !few.Known() || few.Last() || !Left(1).FewerThan(few) || Left(3).FewerThan(few) {
		t.Errorf("%+v: %q", few, few.Note())
	}
}

// TestJudge: the counter says whether a PIN was wrong, not the answer alone.
func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		now    Tries
		code   problem.Code // empty for the answer itself
		left   int
		says   string
	}{
		"counted aloud":               {&WrongError{Left: Left(2), Cause: status(0x63C2)}, Left(2), problem.PINIncorrect, 2, "wrong user PIN, 2 tries left"},
		"counted in silence":          {status(0x6982), Left(2), problem.PINIncorrect, 2, "wrong user PIN, 2 tries left"},
		"blocked in silence":          {status(0x6985), Left(0), problem.PINBlocked, 0, "now blocked"},
		"called wrong, not counted":   {&WrongError{Left: Left(1), Cause: status(0x63C1)}, Left(3), problem.PINIncorrect, 3, "did not count"},
		"neither":                     {status(0x6F00), Left(3), "", 0, "6F00"},
		"called wrong, not told then": {&WrongError{Left: Left(2), Cause: status(0x63C2)}, Unknown(), problem.PINIncorrect, 2, "2 tries left"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			err := w.policy(Allow{}).Send(t.Context(), w.pin(), func(context.Context, *secret.Bytes) error {
				w.left = test.now
				return test.answer
			})
			var p *problem.Error
			switch {
			case !strings.Contains(err.Error(), test.says):
				t.Errorf("%v", err)
			case test.code == "" && !errors.Is(err, test.answer):
				t.Errorf("%v, want %v", err, test.answer)
			case test.code != "" && (!errors.As(err, &p) || p.Code != test.code || p.TriesLeft == nil || *p.TriesLeft != test.left):
				t.Errorf("%v", err)
			}
		})
	}
}

// TestChangeAsksForBothFirst: nothing is sent before both values are there and
// have a length that the card takes.
func TestChangeAsksForBothFirst(t *testing.T) {
	for _, value := range []string{"654321", "1", ""} {
		w := newWorld()
		w.values[secret.NewPIN] = value
		set := func(_ context.Context, by, replacement *secret.Bytes) error {
			w.log = append(w.log, "set "+string(by.Reveal())+" to "+string(replacement.Reveal()))
			return nil
		}
		err := w.policy(Allow{}).Change(t.Context(), Change{By: w.pin(), New: w.pin(), Open: w.verify, Set: set})
		want := "state, ask user PIN of card 1, ask new user PIN"
		if value == "654321" {
			want += ", send 123456, set 123456 to 654321"
		}
		if got := strings.Join(w.log, ", "); got != want || (err == nil) != (value == "654321") {
			t.Errorf("%q: %s, %v", value, got, err)
		}
		for _, given := range w.gave {
			if given.Len() != 0 {
				t.Error("a value was not wiped")
			}
		}
	}
}

// TestChangeSaysWhatThePINIs: the old one only after a refusal.
func TestChangeSaysWhatThePINIs(t *testing.T) {
	wrong := func(n int) error { return &WrongError{Left: Left(n), Cause: status(0x63C0 | iso7816.Status(n))} }
	for name, test := range map[string]struct {
		open, set, prove error
		after            Tries // of the PIN
		state            string
	}{
		"wrong":                      {open: wrong(2), after: Left(2), state: stateOld},
		"refused":                    {set: status(0x6A80), after: Left(3), state: stateOld},
		"wrong when it is set":       {set: wrong(2), after: Left(2), state: stateOld},
		"not counted":                {set: wrong(1), after: Left(3), state: stateUnknown},
		"a warning":                  {set: status(0x6200), after: Left(3), state: stateUnknown},
		"conditions":                 {set: status(0x6985), after: Left(3), state: stateUnknown},
		"memory":                     {set: status(0x6581), after: Left(3), state: stateUnknown},
		"pulled":                     {set: iso7816.ErrCardRemoved, after: Left(3), state: stateUnknown},
		"another PIN was set":        {prove: wrong(2), after: Left(2), state: stateNew},
		"called so, and not counted": {prove: wrong(1), after: Left(3), state: stateUnknown},
		"no answer to the proof":     {prove: iso7816.ErrCardRemoved, after: Left(3), state: stateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			end := func(err error) func(context.Context, *secret.Bytes) error {
				return func(context.Context, *secret.Bytes) error {
					if err != nil {
						w.left = test.after
					}
					return err
				}
			}
			set := end(test.set)
			err := w.policy(Allow{}).Change(t.Context(), Change{
				By: w.pin(), New: w.pin(), Open: end(test.open), Prove: end(test.prove),
				Set: func(ctx context.Context, by, _ *secret.Bytes) error { return set(ctx, by) },
			})
			var told *StateError
			if !errors.As(err, &told) || told.State != test.state || told.Unchanged() != (test.state == stateOld) {
				t.Errorf("%v: %+v", err, told)
			}
		})
	}
}
