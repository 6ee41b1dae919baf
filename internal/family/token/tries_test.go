package token

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
)

// What the flags of a token say of the tries of a PIN.
func TestTriesByTheFlags(t *testing.T) {
	lost := errors.New("no token")
	for name, test := range map[string]struct {
		blank   bool
		certain bool
		state   p11.PINState
		err     error
		want    pin.Tries
	}{
		"locked":                            {certain: true, state: p11.PINState{Locked: true}, want: pin.Left(0)},
		"the last one":                      {certain: true, state: p11.PINState{FinalTry: true}, want: pin.Left(1)},
		"was wrong before":                  {certain: true, state: p11.PINState{CountLow: true}, want: pin.Few()},
		"no flag":                           {certain: true, want: pin.Several()},
		"locked, by OpenSC's module":        {state: p11.PINState{Locked: true}, want: pin.Left(0)},
		"the last one, by OpenSC's module":  {state: p11.PINState{FinalTry: true}, want: pin.Left(1)},
		"no flag of OpenSC's, and no tools": {want: pin.Unknown()},
		"not initialised":                   {blank: true, state: p11.PINState{Locked: true}, want: pin.Several()},
		"gone":                              {certain: true, err: lost, want: pin.Unknown()},
	} {
		t.Run(name, func(t *testing.T) {
			c := counter{
				of: p11.Token{Initialized: !test.blank}, r: p11.User, certain: test.certain, env: []string{"PATH=/nowhere"},
				state: func(context.Context) (p11.PINState, error) { return test.state, test.err },
			}
			if got, err := described(&p11.Module{}, c.of, c.r, c).Tries(t.Context(), false); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
