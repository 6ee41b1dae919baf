//go:build cgo

package conformance

import (
	"errors"
	"maps"
	"slices"
	"testing"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// told is what an error says of the tries left.
func told(err error) (left int, counted bool) {
	var p *problem.Error
	if !errors.As(err, &p) || p.TriesLeft == nil {
		return 0, false
	}
	return *p.TriesLeft, true
}

func oneTry(t *testing.T, p *place) {
	made(t, p)
	costsOne(t, p, wrongPIN)
	before := p.left(t)
	signs(t, p)
	if after := p.left(t); after.FewerThan(before) {
		t.Errorf("the right PIN: %+v, then %+v", before, after)
	}
}

// costsOne signs with a wrong PIN: of all PINs of the card, the one that opens the
// key loses one try, and the error says what it has. A token that does not count
// aloud says no number.
func costsOne(t *testing.T, p *place, value string) {
	t.Helper()
	before, own := p.tries(t)
	stranger := p.with(value)
	err := stranger.sign(t)
	if !problem.Is(err, problem.PINIncorrect) || len(stranger.asked) != 1 {
		t.Errorf("%v, asked %d times", err, len(stranger.asked))
	}
	after, _ := p.tries(t)
	for i, c := range before {
		want := c
		if c.name == own && c.left == pin.Several() {
			want.left = pin.Few()
		}
		if n, counted := c.left.Count(); counted && p.free != nil {
			want.left = pin.Left(n - 1)
		}
		if n, counted := c.left.Count(); counted && c.name == own {
			want.left = pin.Left(n - 1)
			if says, isSaid := told(err); !isSaid || says != n-1 {
				t.Errorf("of %d tries, %v tells %d", n, err, says)
			}
		} else if c.name == own {
			want.left = pin.Few()
			if _, isSaid := told(err); isSaid {
				t.Errorf("nobody counts, and %v tells a number", err)
			}
		}
		if after[i] != want {
			t.Errorf("the %s opens the key: %+v, then %+v", own, c, after[i])
		}
	}
}

// tooMany is more wrong PINs than any of the cards allows.
const tooMany = 12

func blocked(t *testing.T, p *place) {
	made(t, p)
	stranger := p.with(wrongPIN)
	var err error
	sent := 0
	for range tooMany {
		stranger.asked = nil
		if err = stranger.sign(t); len(stranger.asked) == 0 {
			break
		}
		sent++
	}
	if p.endless {
		if sent != tooMany || !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("%d wrong PINs, then %v", sent, err)
		}
		signs(t, p)
		return
	}
	if !problem.Is(err, problem.PINBlocked) || !p.left(t).Last() {
		t.Errorf("one try should be left, not %+v: %v", p.left(t), err)
	}
	stranger.allow.LastTry, p.allow.LastTry = true, true
	if err = stranger.sign(t); !problem.Is(err, problem.PINBlocked) || len(stranger.asked) != 1 || !p.left(t).None() {
		t.Errorf("the last try: %v, asked %d times, left %+v", err, len(stranger.asked), p.left(t))
	}
	p.asked = nil
	if err = p.sign(t); !problem.Is(err, problem.PINBlocked) || len(p.asked) > 0 {
		t.Errorf("blocked: %v, asked %d times", err, len(p.asked))
	}
	if p.free != nil {
		p.free(t)
	} else {
		p.unblock(t)
	}
	signs(t, p)
}

// unblock gives the user PIN its tries back, by what the card takes for that. Of a
// PUK that nobody counts aloud that has to be allowed.
func (p *place) unblock(t *testing.T) {
	t.Helper()
	have := slices.Sorted(maps.Keys(p.pins))
	do := func() error {
		p.asked = nil
		_, err := cardinit.UnblockPIN(t.Context(), p.desk, p.access(), "user", nil, have)
		return err
	}
	err := do()
	if problem.Is(err, problem.TriesUnknown) && len(p.asked) == 0 {
		p.allow.UnknownTries = true
		err = do()
		p.allow.UnknownTries = false
	}
	if err != nil {
		t.Fatalf("unblock-pin: %v", err)
	}
	p.pins[secret.PIN] = newPIN
}

func again(t *testing.T, p *place) {
	made(t, p)
	stranger := p.with(wrongPIN)
	stranger.allow.LastTry = true
	for range tooMany {
		if err := stranger.sign(t); problem.Is(err, problem.PINBlocked) {
			break
		}
	}
	initialise(t, p)
	if o := occupant(t, p); o != nil {
		t.Errorf("there is %+v", o)
	}
	made(t, p)
	signs(t, p)
}

func changed(t *testing.T, p *place) {
	made(t, p)
	old := p.pins[secret.PIN]
	if _, err := cardinit.SetPIN(t.Context(), p.desk, p.access(), "user", nil); err != nil {
		t.Fatalf("set-pin: %v", err)
	}
	if err := p.with(old).sign(t); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("the old PIN: %v", err)
	}
	p.pins[secret.PIN] = newPIN
	signs(t, p)
	costsOne(t, p, wrongPIN)
	p.unblock(t)
	signs(t, p)
	if _, err := cardinit.SetPIN(t.Context(), p.with(wrongPIN).desk, p.with(wrongPIN).access(), "user", nil); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("set-pin with a wrong one: %v", err)
	}
	signs(t, p)
}

func unknown(t *testing.T, p *place) {
	made(t, p)
	if p.mute == nil {
		// A token that always tells: that is what is known of it.
		if left := p.left(t); !left.Known() {
			t.Errorf("left are %+v", left)
		}
		return
	}
	p.mute()
	p.asked = nil
	if err := p.sign(t); !problem.Is(err, problem.TriesUnknown) || len(p.asked) > 0 {
		t.Errorf("gen-csr: %v, asked %d times", err, len(p.asked))
	}
	if _, err := cardinit.SetPIN(t.Context(), p.desk, p.access(), "user", nil); !problem.Is(err, problem.TriesUnknown) || len(p.asked) > 0 {
		t.Errorf("set-pin: %v, asked %d times", err, len(p.asked))
	}
	p.allow.UnknownTries = true
	signs(t, p)
}

// TestTwoUserPINs: each key has its own, and the other is none.
func TestTwoUserPINs(t *testing.T) {
	for _, kind := range twoPINs {
		t.Run(kind.name, func(t *testing.T) {
			theOtherIsNone(t, kind.make(t))
		})
	}
}

func theOtherIsNone(t *testing.T, p *place) {
	t.Helper()
	signs(t, p)
	costsOne(t, p, myEIDPINs()[secret.PIN])
	signs(t, p)
}
