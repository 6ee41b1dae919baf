package provision

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// place is a key of the plan on the card.
type place struct {
	plan.Key
	w *work
	// makes says that the key will be generated.
	makes bool
}

// key is the key of the place, as the card has it by now.
func (p *place) key(ctx context.Context) (key.Key, error) {
	wish, _, err := p.wish()
	if err != nil {
		return nil, err
	}
	ref, _, err := family.Parse(wish)
	if err != nil {
		return nil, err
	}
	return p.w.card.Key(ctx, ref)
}

// wish is the reference of the key, and how it is generated.
func (p *place) wish() (string, keygen.Options, error) {
	return keygen.Wish{Key: p.Ref, Algorithm: p.Algorithm, Usage: p.Usage, Label: p.Label, ID: p.ID, PINPolicy: p.PINPolicy}.Parse()
}

// surveyKeys finds out which keys and certificates are missing.
func (w *work) surveyKeys(ctx context.Context, erases bool) error {
	for _, k := range w.plan.Keys {
		p := &place{Key: k, w: w}
		if err := w.surveyKey(ctx, p, erases); err != nil {
			return err
		}
		if err := w.surveyTouch(ctx, p); err != nil {
			return err
		}
		if err := w.surveyCertificate(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) surveyKey(ctx context.Context, p *place, erases bool) error {
	name := "key " + p.Ref
	missing := step{name: name, result: Would, detail: "generate " + p.Algorithm, takes: generateTime(p.Algorithm), do: func(ctx context.Context) (string, error) {
		return w.generate(ctx, p)
	}}
	if erases {
		p.makes = true
		w.add(missing)
		return nil
	}
	k, err := p.key(ctx)
	if err != nil {
		return err
	}
	there, err := k.Occupant(ctx)
	if err != nil {
		return err
	}
	if there == nil {
		had, err := w.had(ctx, k.Reference().String())
		if err != nil {
			return err
		}
		if had {
			return w.lacksKey(name, p.Ref)
		}
	}
	switch {
	case there == nil, there.Unfinished && w.begun():
		p.makes = true
		w.add(missing)
		return nil
	case there.Unknown:
		return w.wrong(name, "the card does not report whether it has "+p.Ref, "An existing key could be lost.")
	case p.Algorithm != "" && string(there.Algorithm) != p.Algorithm:
		return w.wrong(name, fmt.Sprintf("the key %s is there, and is %s", there.Fingerprint, there.Algorithm), "The plan says "+p.Algorithm+".")
	}
	if err := w.sameKey(ctx, p, k); err != nil {
		return err
	}
	w.already(name, there.Fingerprint)
	return nil
}

// sameKey refuses another key than the one that the ledger has.
func (w *work) sameKey(ctx context.Context, p *place, k key.Key) error {
	if w.known == nil {
		return nil
	}
	for _, c := range w.known.Credentials {
		if c.Ref != k.Reference().String() || c.SPKI == "" {
			continue
		}
		public, err := k.Public(ctx)
		if err != nil {
			return err
		}
		if now := pubkey.Fingerprint(public); now != c.SPKI {
			return w.wrong("key "+p.Ref, "the key in "+p.Ref+" is not the one that the ledger has", "The ledger has "+c.SPKI+", and the card "+now+".")
		}
	}
	return nil
}

func (w *work) generate(ctx context.Context, p *place) (string, error) {
	k, err := p.key(ctx)
	if err != nil {
		return "", err
	}
	_, options, err := p.wish()
	if err != nil {
		return "", err
	}
	if _, later := k.(key.TouchSetter); !later {
		options.TouchPolicy = p.Touch
	}
	options.Confirm = w.here.Access.Confirm
	report, err := keygen.GenerateOn(ctx, k, options)
	if err != nil {
		return "", err
	}
	err = w.entry.Key(ctx, ledger.Key{Ref: report.Ref, Fingerprint: report.Fingerprint, Algorithm: string(report.Algorithm)})
	return fmt.Sprintf("%s %s", report.Algorithm, report.Fingerprint), err
}

// surveyTouch is the touch policy of a key that gets it after it was generated.
func (w *work) surveyTouch(ctx context.Context, p *place) error {
	if p.Touch == "" {
		return nil
	}
	k, err := p.key(ctx)
	if err != nil {
		return err
	}
	able, later := k.(key.TouchSetter)
	if !later {
		return nil // it is generated with it
	}
	name := "touch " + p.Ref
	policy, err := key.ParseTouch(p.Touch)
	if err != nil {
		return err
	}
	set := func(ctx context.Context) (string, error) {
		k, err := p.key(ctx)
		if err != nil {
			return "", err
		}
		_, err = keygen.SetTouchOn(ctx, k, policy, w.here.Access.Confirm)
		return string(policy), err
	}
	if !p.makes {
		now, err := able.Touch(ctx)
		if err != nil {
			return err
		}
		if now == policy {
			w.already(name, string(policy))
			return nil
		}
	}
	w.add(step{name: name, result: Would, detail: string(policy), do: set})
	return nil
}
