package applet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// destroying are the workflows that ask, on a card that has the sample.
func destroying(t *testing.T) map[string]func(reach) error {
	f := sample().file(t)
	return map[string]func(reach) error{
		"delete": func(r reach) error {
			_, err := r.delete(t, DeleteOptions{AID: f.Package.AID, WithApplets: true})
			return err
		},
		"install": func(r reach) error {
			_, err := r.install(t, InstallOptions{File: f, Replace: true})
			return err
		},
		"state": func(r reach) error {
			_, err := SetState(t.Context(), r.desk, r.person, StateOptions{Change: InitialiseCard})
			return err
		},
		"set-keys": func(r reach) error {
			_, err := r.setKeys(t, SetKeysOptions{Generate: true, File: filepath.Join(t.TempDir(), "keys")})
			return err
		},
		"script": func(r reach) error {
			s, err := ParseScript([]byte("open_sc -security 1 -key "+defaultKey+"\ndelete -AID F00000000101\n"), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			return r.runScript(t, ScriptOptions{Script: s})
		},
	}
}

// withSample is a card with the sample on it, and nothing in its log.
func withSample(t *testing.T) *fakeCard {
	card := newFakeCard(t)
	if _, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t)}); err != nil {
		t.Fatal(err)
	}
	card.log, card.count = nil, 0
	return card
}

// changed reports whether a card was sent something that changes it, or keys.
func (c *fakeCard) changed() bool {
	return slices.ContainsFunc(c.log, func(s string) bool {
		return slices.Contains([]string{"82", "D8", "E4", "E6", "E8", "F0"}, s[:2])
	})
}

func TestQuestionsNameTheCard(t *testing.T) {
	for name, work := range destroying(t) {
		card := withSample(t)
		asked := ""
		err := work(card.access(defaultKey, "").confirmed(func(_ context.Context, q desk.Question) error {
			if err := q.Waiting(); err != nil {
				return err
			}
			if asked = q.Asked().String(); card.open {
				t.Errorf("%s: a secure channel is open while a person thinks", name)
			}
			return nil
		}))
		if err != nil || !strings.Contains(asked, "the Java card ") || !strings.Contains(asked, "01 in sim:desk") || !card.changed() {
			t.Errorf("%s: %q, %v", name, asked, err)
		}
	}
}

// TestNothingIsDestroyedUnasked has nobody who says yes.
func TestNothingIsDestroyedUnasked(t *testing.T) {
	for name, work := range destroying(t) {
		card := withSample(t)
		err := work(card.access(defaultKey, "").confirmed(func(context.Context, desk.Question) error { return problem.New(problem.Refused, "no") }))
		log := strings.Join(card.log, " ")
		if !problem.Is(err, problem.Refused) || strings.Contains(log, "E4") || strings.Contains(log, "D8") || len(card.apps) != 1 {
			t.Errorf("%s: %v, %s", name, err, log)
		}
	}
}

// others are cards with the same on them and the same keys, which differ in their
// serial, in their key diversification data, or in both.
func others() map[string]func(card, other *fakeCard) {
	return map[string]func(card, other *fakeCard){
		"both":      func(_, other *fakeCard) { other.serial = 7 },
		"serial":    func(_, other *fakeCard) { other.serial, other.twin = 7, 1 },
		"no serial": func(_, other *fakeCard) { other.serial, other.twin = 0, 1 },
		"data":      func(card, other *fakeCard) { card.serial, card.twin, other.serial, other.twin = 0, 3, 0, 4 },
	}
}

// TestAnotherCardAfterTheQuestion puts another card into a reader that does not
// notice it.
func TestAnotherCardAfterTheQuestion(t *testing.T) {
	for name, work := range destroying(t) {
		for difference, set := range others() {
			if name == "script" && difference == "data" {
				continue // it has opened no secure channel before
			}
			card, other := withSample(t), withSample(t)
			set(card, other)
			r := card.access(defaultKey, "")
			err := work(r.confirmed(func(_ context.Context, q desk.Question) error {
				err := q.Waiting()
				r.card = other
				return err
			}))
			if !problem.Is(err, problem.CardChanged) || other.changed() || len(other.apps) != 1 || other.version != 0xFF {
				t.Errorf("%s, %s: %v, sent %q", name, difference, err, other.log)
			}
		}
	}
}

// TestTwinAfterTheQuestion puts a card into the reader that cannot be told from
// the one before: what tells is that that was taken out.
func TestTwinAfterTheQuestion(t *testing.T) {
	for name, work := range destroying(t) {
		card, twin := withSample(t), withSample(t)
		r := card.access(defaultKey, "")
		err := work(r.confirmed(func(_ context.Context, q desk.Question) error {
			err := q.Waiting()
			r.card, r.gone = twin, true
			return err
		}))
		if !problem.Is(err, problem.CardChanged) || len(twin.log) > 0 {
			t.Errorf("%s: %v, sent %q", name, err, twin.log)
		}
	}
}

// TestAnotherCardWhileKeysAreAskedFor has the card changed while a person looks for
// the card keys: no key is tried on the other one.
func TestAnotherCardWhileKeysAreAskedFor(t *testing.T) {
	for name, work := range destroying(t) {
		if name == "script" {
			continue // it brings its keys
		}
		for difference, set := range others() {
			if difference == "data" {
				continue // no secure channel was opened before
			}
			card, other := withSample(t), withSample(t)
			set(card, other)
			r := card.access(defaultKey, "")
			ask := r.person.Ask
			r.person.Ask = func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
				if err := q.Waiting(); err != nil {
					return nil, err
				}
				r.card = other
				return ask(ctx, q)
			}
			err := work(r)
			if !problem.Is(err, problem.CardChanged) || slices.Contains(other.log, "5000") || other.changed() {
				t.Errorf("%s, %s: %v, sent %q", name, difference, err, other.log)
			}
		}
	}
}

// TestTheSameCardAfterTheQuestion goes on after every moment in which the card was
// let go.
func TestTheSameCardAfterTheQuestion(t *testing.T) {
	for name, work := range destroying(t) {
		card := withSample(t)
		r := card.access(defaultKey, t.TempDir()).confirmed(func(_ context.Context, q desk.Question) error { return q.Waiting() })
		ask := r.person.Ask
		r.person.Ask = func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
			if err := q.Waiting(); err != nil {
				return nil, err
			}
			return ask(ctx, q)
		}
		if err := work(r); err != nil || !card.changed() || card.failed > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnotherContentAfterTheQuestion has something installed meanwhile.
func TestAnotherContentAfterTheQuestion(t *testing.T) {
	for _, name := range []string{"delete", "install"} {
		card := withSample(t)
		err := destroying(t)[name](card.access(defaultKey, "").confirmed(func(_ context.Context, q desk.Question) error {
			err := q.Waiting()
			card.apps = append(card.apps, fakeApp{aid: unhex(t, "F000000001AA"), file: unhex(t, "F000000001")})
			return err
		}))
		if !problem.Is(err, problem.Refused) || len(card.apps) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// liar is a card that answers an instruction by a status word, done or not.
type liar struct {
	*fakeCard
	ins    byte
	status uint16
	done   bool
}

func (l *liar) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if apdu[1] != l.ins {
		return l.fakeCard.Transmit(ctx, apdu)
	}
	if l.done {
		if _, err := l.fakeCard.Transmit(ctx, apdu); err != nil {
			return nil, err
		}
	}
	return []byte{byte(l.status >> 8), byte(l.status)}, nil
}

func (l *liar) access(state string) reach {
	r := l.fakeCard.access(defaultKey, state)
	r.card = l
	return r
}

// TestNewKeysStayUnlessTheyWereRefused: after every answer but a refusal, the card
// may have the keys that are in the file.
func TestNewKeysStayUnlessTheyWereRefused(t *testing.T) {
	for _, status := range []uint16{0x6200, 0x6310, 0x63C1, 0x6581, 0x6985, 0x6C10, 0x6F00, 0x9485} {
		for _, done := range []bool{true, false} {
			card := &liar{newFakeCard(t), 0xD8, status, done}
			o := SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), Generate: true}
			_, err := card.access("").setKeys(t, o)
			keys := strings.TrimSpace(readKeys(t, o.File))
			if done != (err == nil) || !done && !strings.Contains(err.Error(), "has its old keys; those in "+o.File+" are not on it") {
				t.Errorf("%04X, done: %t: %v", status, done, err)
			}
			if !done {
				keys = defaultKey
			}
			if _, err := card.fakeCard.access(keys, "").list(t); err != nil || card.failed > 0 {
				t.Errorf("%04X, done: %t: the card's keys are lost, %d failed: %v", status, done, card.failed, err)
			}
		}
	}
	card := &liar{newFakeCard(t), 0xD8, 0x6A80, false}
	o := SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), Generate: true}
	if _, err := card.access("").setKeys(t, o); err == nil || !strings.Contains(err.Error(), "The card still has its old keys.") {
		t.Error(err)
	}
	if _, err := os.Stat(o.File); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("refused keys stay: %v", err)
	}
}

// TestUnclearDeletionIsLookedAt: DELETE that was answered by something else than
// success or a refusal is what the card shows afterwards.
func TestUnclearDeletionIsLookedAt(t *testing.T) {
	for _, status := range []uint16{0x6200, 0x6581, 0x6985, 0x6F00} {
		for _, done := range []bool{true, false} {
			card := &liar{withSample(t), 0xE4, status, done}
			_, err := card.access("").delete(t, DeleteOptions{AID: unhex(t, "F00000000101")})
			if done != (err == nil) || !done && !strings.Contains(err.Error(), unchanged) || len(card.apps) == 0 != done {
				t.Errorf("%04X, done: %t: %v", status, done, err)
			}
		}
	}
}

// TestConfirmedAndNotDone has cards that confirm what they did not do.
func TestConfirmedAndNotDone(t *testing.T) {
	const done = 0x9000
	deletes := &liar{withSample(t), 0xE4, done, false}
	_, err := deletes.access("").delete(t, DeleteOptions{AID: unhex(t, "F00000000101")})
	listed(t, err, "still has F00000000101")

	loads := &liar{newFakeCard(t), 0xE6, done, false}
	loads.refuse[0xE8] = done
	_, err = loads.access("").install(t, InstallOptions{File: sample().file(t)})
	listed(t, err, "does not have F00000000101")

	asleep := newFakeCard(t)
	asleep.asleep = true
	_, err = asleep.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t)})
	listed(t, err, "cannot be selected")

	stays := (&liar{withSample(t), 0xF0, done, false}).access("")
	report, err := SetState(t.Context(), stays.desk, stays.person, StateOptions{Change: InitialiseCard})
	listed(t, err, "the state is OP_READY")
	if report.After != "OP_READY" {
		t.Errorf("%+v", report)
	}

	keeps := &liar{withSample(t), 0xE6, done, false}
	app, to := keeps.apps[0].aid, unhex(t, "F0000000DA")
	keeps.apps[0].domain = unhex(t, "A000000151000000")
	keeps.apps = append(keeps.apps, fakeApp{aid: to, file: unhex(t, "A0000001515350"), privileges: []byte{0x80}})
	r := keeps.access("")
	_, err = Extradite(t.Context(), r.desk, r.person, ExtraditeOptions{AID: app, To: to})
	listed(t, err, "F00000000101 belongs to A000000151000000")
}

// listed checks that an error says so, and has the contents of the card listed.
func listed(t *testing.T, err error, what string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Failed || !strings.Contains(p.Error(), what) || p.Next.Action != advice.ListApplets {
		t.Errorf("%v, %+v", err, p)
	}
}

// TestUnclearAuthenticationIsRemembered: keys that the card did not plainly refuse
// are not tried again by themselves either.
func TestUnclearAuthenticationIsRemembered(t *testing.T) {
	card, state := &liar{newFakeCard(t), 0x82, 0x6F00, false}, t.TempDir()
	for _, code := range []problem.Code{problem.Failed, problem.PINBlocked} {
		if _, err := card.access(state).list(t); !problem.Is(err, code) {
			t.Errorf("%v, want %s", err, code)
		}
	}
}

// TestHintsDeleteOnlyWhatWasNamed has a package with another applet than the one
// that is to be installed.
func TestHintsDeleteOnlyWhatWasNamed(t *testing.T) {
	two := sample()
	two.applets = []string{"F00000000101", "F00000000102"}
	f := two.file(t)
	card := withSample(t)
	var p *problem.Error
	_, err := card.access(defaultKey, "").install(t, InstallOptions{File: f, Applets: f.Applets[1:]})
	if !errors.As(err, &p) || p.Unless != nil || p.Next.Action != advice.ListApplets || !strings.Contains(p.Error(), "would delete F00000000101 too") {
		t.Errorf("%v, %+v", err, p)
	}
	_, err = card.access(defaultKey, "").install(t, InstallOptions{File: f, Applets: f.Applets[:1]})
	if !errors.As(err, &p) || !slices.Equal(p.Unless, []advice.Value{advice.Switch(advice.Replace)}) || p.Next.Action != advice.ListApplets {
		t.Errorf("%v, %+v", err, p)
	}
}
