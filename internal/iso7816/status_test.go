package iso7816

import (
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
	for _, err := range []error{nil, ErrCardRemoved, ErrCardReset, ErrAnswerLost, errors.New("[6A80]")} {
		if Refused(err) {
			t.Errorf("%v is taken for a refusal", err)
		}
	}
}
