//go:build cgo

package conformance

import (
	"context"
	"crypto"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// place is a slot for a key on a card or token that is ready for work.
type place struct {
	ref  string
	desk *desk.Desk
	pins map[secret.Name]string
	app  string // of the kind, in --app
	// algorithm is that of its keys; empty for the usual one.
	algorithm string
	// label is that of the card or token; empty for one that has none.
	label string
	// mute has the card keep the tries of its PINs to itself; nil for one that
	// cannot.
	mute func()
	// free gives all PINs their tries back where a wrong one counts for all of them; nil
	// where each counts for itself.
	free func(t *testing.T)
	// endless says that no mistake blocks a PIN.
	endless bool
	// silent says that the card reports neither its keys nor whether there are any; public
	// is what was noted when one was made.
	silent bool
	public crypto.PublicKey

	allow pin.Allow
	// refuse has the person say no.
	refuse bool
	// meanwhile is done once while the person is asked; nil for somebody who takes no
	// time.
	meanwhile func()
	asked     []secret.Request
}

func (p *place) access() desk.Access {
	return desk.Access{
		Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			value, known := p.pins[r.Name]
			switch {
			case !known && r.Optional:
				return nil, nil
			case !known:
				return nil, secret.ErrMissing
			}
			p.asked = append(p.asked, r)
			if err := p.thinks(r.Waiting); err != nil {
				return nil, err
			}
			return secret.New([]byte(value)), nil
		},
		Confirm: func(_ context.Context, q desk.Question) error {
			if p.refuse {
				return problem.New(problem.Refused, "no")
			}
			return p.thinks(q.Waiting)
		},
		AllowLastTry: p.allow.LastTry, AllowUnknownTries: p.allow.UnknownTries,
		PublicKey: p.public, Now: time.Now, Notify: func(string) {},
	}
}

// thinks is a person who takes time.
func (p *place) thinks(waiting func() error) error {
	work := p.meanwhile
	if work == nil {
		return nil
	}
	p.meanwhile = nil
	if waiting != nil {
		if err := waiting(); err != nil {
			return err
		}
	}
	work()
	return nil
}

// with is the same place with another PIN typed at it wherever one is asked for.
func (p *place) with(value string) *place {
	other := *p
	other.pins, other.asked = maps.Clone(p.pins), nil
	for name := range other.pins {
		switch name {
		case secret.NewPIN:
		case secret.ManagementKey:
			other.pins[name] = strings.Repeat(value, 6) // hex digits of the right number
		default:
			other.pins[name] = value
		}
	}
	return &other
}

// replacing is what --replace says of a slot without a key, and of a key with a fingerprint.
func (p *place) replacing(fingerprint string) string {
	if p.silent {
		return "unknown"
	}
	return fingerprint
}

// reports says whether the card reports this key, empty for none.
func (p *place) reports(o *key.Occupant, fingerprint string) bool {
	switch {
	case p.silent:
		return o != nil && o.Unknown
	case fingerprint == "":
		return o == nil
	}
	return o != nil && o.Fingerprint == fingerprint
}

// wrongToMake is the error of a wrong secret for making keys.
func (p *place) wrongToMake() problem.Code {
	if _, managed := p.pins[secret.ManagementKey]; managed {
		return problem.KeysIncorrect
	}
	return problem.PINIncorrect
}

// look opens the key as a workflow does that changes nothing.
func (p *place) look(t *testing.T, work func(ctx context.Context, k key.Key)) {
	t.Helper()
	err := family.WithKey(t.Context(), p.desk, p.ref, p.access(), func(ctx context.Context, _ family.At, k key.Key) error {
		work(ctx, k)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// counter is how many tries a PIN has left, as the card tells now.
type counter struct {
	name string
	left pin.Tries
}

// tries are those of all PINs of the card; own is the one that opens the key.
func (p *place) tries(t *testing.T) (all []counter, own string) {
	t.Helper()
	p.look(t, func(ctx context.Context, k key.Key) {
		opens, err := k.PIN(ctx, key.ToUse)
		if err != nil {
			t.Fatal(err)
		}
		own = opens.Name()
	})
	w := family.Wanted{Takes: []string{p.app}}
	err := family.WithCard(t.Context(), p.desk, w, p.access(), func(ctx context.Context, _ family.At, c card.Card) error {
		pins, err := c.PINs(ctx)
		for _, one := range pins {
			left, failed := one.Tries(ctx, true)
			if err = failed; err != nil {
				break
			}
			all = append(all, counter{one.Name(), left})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(c counter) bool { return c.name == own }) {
		t.Fatalf("the key has the %s, the card %+v", own, all)
	}
	return all, own
}

// left is what the PIN has that opens the key.
func (p *place) left(t *testing.T) pin.Tries {
	t.Helper()
	all, own := p.tries(t)
	return all[slices.IndexFunc(all, func(c counter) bool { return c.name == own })].left
}
