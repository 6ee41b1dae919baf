package iso7816

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestRefusedIsOnlyWhatProvesThatNothingWasDone goes through all status words:
// those of a check that failed are refusals, and no others.
func TestRefusedIsOnlyWhatProvesThatNothingWasDone(t *testing.T) {
	refusals := map[Status]bool{}
	for _, s := range []Status{
		0x6700, 0x6881, 0x6882, 0x6884,
		0x6981, 0x6982, 0x6983, 0x6984, 0x6987, 0x6988,
		0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A84, 0x6A85, 0x6A86, 0x6A87, 0x6A88, 0x6A89, 0x6A8A,
		0x6B00, 0x6D00, 0x6E00,
	} {
		refusals[s] = true
	}
	for s := Status(1); s != 0; s++ {
		err := fmt.Errorf("PUT KEY: %w", &StatusError{Status: s, INS: 0xD8})
		if Refused(err) != refusals[s] {
			t.Errorf("%s: refused %v", s, !refusals[s])
		}
	}
	rest := &StatusError{Status: StatusINSNotSupported, INS: InsGetResponse}
	for _, err := range []error{nil, ErrCardRemoved, ErrCardReset, errors.New("[6A80]"), rest} {
		if Refused(err) {
			t.Errorf("%v is taken for a refusal", err)
		}
	}
}

// TestARefusedRestIsNoRefusal has a card that answers 61xx, so that the command
// is carried out, and then refuses the rest: nothing is sent again, and it is not
// taken for a refusal.
func TestARefusedRestIsNoRefusal(t *testing.T) {
	card := &script{t: t, steps: []string{"00DA005E01AA00 > 617D", "00C000007D > 6700"}}
	_, err := NewChannel(card, Capabilities{Chaining: true}).Send(context.Background(), Command{INS: InsPutData, P2: 0x5E, Data: []byte{0xAA}, Ne: 256})
	if !errors.Is(err, ErrAnswerLost) || Refused(err) || len(card.steps) > 0 {
		t.Errorf("%v, refused: %v, left: %v", err, Refused(err), card.steps)
	}
}

// TestAProtectedCommandIsSentOnce has a card that answers 6Cxx under secure
// messaging.
func TestAProtectedCommandIsSentOnce(t *testing.T) {
	card := &script{t: t, steps: []string{"84D8008101AA00 > 6C10"}}
	_, err := NewChannel(card, Capabilities{}).SendProtected(context.Background(), Command{CLA: 0x84, INS: 0xD8, P2: 0x81, Data: []byte{0xAA}, Ne: 256}, false)
	if StatusOf(err) != 0x6C10 || Refused(err) {
		t.Errorf("%v", err)
	}
}
