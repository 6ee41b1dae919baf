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

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// slot is a reader with a card that can be another one.
type slot struct{ *fakeCard }

// destroying are the workflows that ask, on a card that has the sample.
func destroying(t *testing.T) map[string]func(Access, Confirm) error {
	f := sample().file(t)
	return map[string]func(Access, Confirm) error{
		"delete": func(a Access, ask Confirm) error {
			_, err := Delete(t.Context(), DeleteOptions{Access: a, AID: f.Package.AID, WithApplets: true, Confirm: ask})
			return err
		},
		"install": func(a Access, ask Confirm) error {
			_, err := Install(t.Context(), InstallOptions{Access: a, File: f, Replace: true, Confirm: ask})
			return err
		},
		"set-keys": func(a Access, ask Confirm) error {
			_, err := SetKeys(t.Context(), SetKeysOptions{Access: a, Generate: true, File: filepath.Join(t.TempDir(), "keys"), Confirm: ask})
			return err
		},
		"script": func(a Access, ask Confirm) error {
			s, err := ParseScript([]byte("open_sc -security 1 -key "+defaultKey+"\ndelete -AID F00000000101\n"), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			return RunScript(t.Context(), ScriptOptions{Access: a, Script: s, Confirm: ask})
		},
	}
}

// withSample is a card with the sample on it, and nothing in its log.
func withSample(t *testing.T) *fakeCard {
	card := newFakeCard(t)
	if _, err := Install(t.Context(), InstallOptions{Access: card.access(defaultKey, ""), File: sample().file(t)}); err != nil {
		t.Fatal(err)
	}
	card.log, card.count = nil, 0
	return card
}

// changed reports whether a card was sent something that changes it, or keys.
func (c *fakeCard) changed() bool {
	return slices.ContainsFunc(c.log, func(s string) bool {
		return slices.Contains([]string{"82", "D8", "E4", "E6", "E8"}, s[:2])
	})
}

func TestQuestionsNameTheCard(t *testing.T) {
	for name, work := range destroying(t) {
		card := withSample(t)
		a := card.access(defaultKey, "")
		a.Reader = "sim:desk"
		asked := ""
		err := work(a, func(_ context.Context, q Question) error {
			if err := q.Waiting(); err != nil {
				return err
			}
			if asked = q.Text(); card.open {
				t.Errorf("%s: a secure channel is open while a person thinks", name)
			}
			return nil
		})
		if err != nil || !strings.Contains(asked, "the Java card ") || !strings.Contains(asked, "01 in sim:desk") || !card.changed() {
			t.Errorf("%s: %q, %v", name, asked, err)
		}
	}
}

// TestNothingIsDestroyedUnasked has nobody who says yes.
func TestNothingIsDestroyedUnasked(t *testing.T) {
	for name, work := range destroying(t) {
		card := withSample(t)
		err := work(card.access(defaultKey, ""), func(context.Context, Question) error { return problem.New(problem.Refused, "no") })
		log := strings.Join(card.log, " ")
		if !problem.Is(err, problem.Refused) || strings.Contains(log, "E4") || strings.Contains(log, "D8") || len(card.apps) != 1 {
			t.Errorf("%s: %v, %s", name, err, log)
		}
	}
}

// TestAnotherCardAfterTheQuestion puts another card with the same on it and the
// same keys into the reader, which differs in its serial, in its key
// diversification data, or in both.
func TestAnotherCardAfterTheQuestion(t *testing.T) {
	for name, work := range destroying(t) {
		for difference, set := range map[string]func(card, other *fakeCard){
			"both":      func(_, other *fakeCard) { other.serial = 7 },
			"serial":    func(_, other *fakeCard) { other.serial, other.twin = 7, 1 },
			"no serial": func(_, other *fakeCard) { other.serial, other.twin = 0, 1 },
			"data":      func(card, other *fakeCard) { card.serial, card.twin, other.serial, other.twin = 0, 3, 0, 4 },
		} {
			if name == "script" && difference == "data" {
				continue // it has opened no secure channel before
			}
			card, other := withSample(t), withSample(t)
			set(card, other)
			reader := &slot{card}
			a := card.access(defaultKey, "")
			a.Channel = iso7816.NewChannel(reader, iso7816.Capabilities{})
			err := work(a, func(_ context.Context, q Question) error {
				err := q.Waiting()
				reader.fakeCard = other
				return err
			})
			if !problem.Is(err, problem.CardRemoved) || other.changed() || len(other.apps) != 1 || other.version != 0xFF {
				t.Errorf("%s, %s: %v, sent %q", name, difference, err, other.log)
			}
		}
	}
}

// TestAnotherContentAfterTheQuestion has something installed meanwhile.
func TestAnotherContentAfterTheQuestion(t *testing.T) {
	for _, name := range []string{"delete", "install"} {
		card := withSample(t)
		err := destroying(t)[name](card.access(defaultKey, ""), func(_ context.Context, q Question) error {
			err := q.Waiting()
			card.apps = append(card.apps, fakeApp{aid: unhex(t, "F000000001AA"), file: unhex(t, "F000000001")})
			return err
		})
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

func (l *liar) access() Access {
	a := l.fakeCard.access(defaultKey, "")
	a.Channel = iso7816.NewChannel(l, iso7816.Capabilities{})
	return a
}

// TestNewKeysStayUnlessTheyWereRefused: after every answer but a refusal, the card
// may have the keys that are in the file.
func TestNewKeysStayUnlessTheyWereRefused(t *testing.T) {
	for _, status := range []uint16{0x6200, 0x6310, 0x63C1, 0x6581, 0x6985, 0x6C10, 0x6F00, 0x9485} {
		for _, done := range []bool{true, false} {
			card := &liar{newFakeCard(t), 0xD8, status, done}
			o := SetKeysOptions{Access: card.access(), File: filepath.Join(t.TempDir(), "keys"), Generate: true}
			_, err := SetKeys(t.Context(), o)
			keys := strings.TrimSpace(readKeys(t, o.File))
			if done != (err == nil) || !done && !strings.Contains(err.Error(), "has its old keys; those in "+o.File+" are not on it") {
				t.Errorf("%04X, done: %t: %v", status, done, err)
			}
			if !done {
				keys = defaultKey
			}
			if _, err := List(t.Context(), card.fakeCard.access(keys, "")); err != nil || card.failed > 0 {
				t.Errorf("%04X, done: %t: the card's keys are lost, %d failed: %v", status, done, card.failed, err)
			}
		}
	}
	card := &liar{newFakeCard(t), 0xD8, 0x6A80, false}
	o := SetKeysOptions{Access: card.access(), File: filepath.Join(t.TempDir(), "keys"), Generate: true}
	if _, err := SetKeys(t.Context(), o); err == nil || !strings.Contains(err.Error(), "The card has its old keys.") {
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
			_, err := Delete(t.Context(), DeleteOptions{Access: card.access(), AID: unhex(t, "F00000000101")})
			if done != (err == nil) || !done && !strings.Contains(err.Error(), unchanged) || len(card.apps) == 0 != done {
				t.Errorf("%04X, done: %t: %v", status, done, err)
			}
		}
	}
}

// TestUnclearAuthenticationIsRemembered: keys that the card did not plainly refuse
// are not tried again by themselves either.
func TestUnclearAuthenticationIsRemembered(t *testing.T) {
	card, state := &liar{newFakeCard(t), 0x82, 0x6F00, false}, t.TempDir()
	for _, code := range []problem.Code{problem.Failed, problem.PINBlocked} {
		a := card.access()
		a.StateDir = state
		if _, err := List(t.Context(), a); !problem.Is(err, code) {
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
	_, err := Install(t.Context(), InstallOptions{Access: card.access(defaultKey, ""), File: f, Applets: f.Applets[1:]})
	if !errors.As(err, &p) || strings.Contains(p.Try, "--replace") || !strings.Contains(p.Error(), "would delete F00000000101 too") {
		t.Errorf("%v, %s", err, p.Try)
	}
	_, err = Install(t.Context(), InstallOptions{Access: card.access(defaultKey, ""), File: f, Applets: f.Applets[:1]})
	if !errors.As(err, &p) || !strings.Contains(p.Try, "--replace") {
		t.Errorf("%v, %s", err, p.Try)
	}
}
