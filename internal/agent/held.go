package agent

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// held is the Token of an application that a place has.
type held struct {
	place *place
	about About
	app   string // empty for a token of a module
	keys  []*heldKey
}

// About is that of Token.
func (t *held) About() About {
	t.place.mu.Lock()
	defer t.place.mu.Unlock()
	return t.about
}

// Keys is that of Token.
func (t *held) Keys(context.Context) ([]Key, error) {
	if !t.place.has(t) {
		return nil, t.place.replaced()
	}
	var all []Key
	for _, k := range t.keys {
		all = append(all, k)
	}
	return all, nil
}

// Objects is that of Token.
func (t *held) Objects(ctx context.Context) (objects map[uint32][]byte, err error) {
	err = t.with(ctx, func(ctx context.Context, _ *session, c card.Card) (err error) {
		if has, can := c.(card.Objecter); can {
			objects, err = has.Objects(ctx)
		}
		return err
	})
	return objects, err
}

// with does something with the card, if it is the one that was read before.
func (t *held) with(ctx context.Context, do func(context.Context, *session, card.Card) error) error {
	err := t.place.ask(ctx, func(ctx context.Context, s *session) error {
		if !t.place.has(t) {
			return errReplaced
		}
		if err := s.take(ctx); err != nil {
			return err
		}
		c, err := s.application(ctx, t.app)
		if err != nil {
			return err
		}
		return do(ctx, s, c)
	})
	if errors.Is(err, errReplaced) {
		return t.place.replaced()
	}
	return err
}

// Ready is that of Token.
func (t *held) Ready() bool { return t.place.pins.any() }

// Forget is that of Token.
func (t *held) Forget() { t.place.pins.drop() }

// verify has the PIN of a key verified. On a card that wants it for each use by itself, it
// is asked for at the first one.
func verify(ctx context.Context, one key.Key) error {
	if verifier, can := one.(key.Verifier); can {
		return verifier.VerifyPIN(ctx)
	}
	return nil
}

// heldKey is a Key.
type heldKey struct {
	token *held
	about KeyAbout
	ref   key.Reference
}

// About is that of Key.
func (k *heldKey) About() KeyAbout { return k.about }

// Login is that of Key.
func (k *heldKey) Login(ctx context.Context, by Client) error { return k.use(ctx, by, verify) }

// Sign is that of Key.
func (k *heldKey) Sign(ctx context.Context, by Client, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = k.confirmed(ctx, by, func(ctx context.Context, one key.Key) error {
		signer, err := k.signer(ctx, one)
		if err == nil {
			signature, err = signer.Sign(rand.Reader, digest, opts)
		}
		// A module ends the session of a token that is not the same any more.
		if err == nil && k.token.place.module == "" && !pubkey.Verify(k.about.Public, digest, signature, opts) {
			err = problem.New(problem.CardChanged, "%s: the signature is not one of the key that was read before", k.about.Ref)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

// signer is that of the key that was read before: what it signs is verified.
func (k *heldKey) signer(ctx context.Context, one key.Key) (crypto.Signer, error) {
	if known, can := one.(key.Remembered); can {
		return known.SignerOf(ctx, k.about.Public)
	}
	return one.Signer(ctx)
}

// Decrypt is that of Key.
func (k *heldKey) Decrypt(ctx context.Context, by Client, ciphertext []byte, opts crypto.DecrypterOpts) (plain []byte, err error) {
	err = k.confirmed(ctx, by, func(ctx context.Context, one key.Key) (err error) {
		plain, err = one.Decrypt(ctx, ciphertext, opts)
		return err
	})
	return plain, err
}

// Derive is that of Key.
func (k *heldKey) Derive(ctx context.Context, by Client, peer crypto.PublicKey) (shared []byte, err error) {
	err = k.confirmed(ctx, by, func(ctx context.Context, one key.Key) (err error) {
		shared, err = one.Derive(ctx, peer)
		return err
	})
	return shared, err
}

// confirmed is use, if a person allows it.
func (k *heldKey) confirmed(ctx context.Context, by Client, what func(context.Context, key.Key) error) error {
	if confirm := k.token.place.keeper.o.Confirm; confirm != nil {
		if err := confirm(ctx, by, k.about.Ref+" of "+k.token.about.Kind); err != nil {
			return err
		}
	}
	err := k.use(ctx, by, what)
	if err == nil {
		k.token.place.tell(func(now *Status) { now.Operations++ })
	}
	return err
}

// use does something with the key on the card.
func (k *heldKey) use(ctx context.Context, by Client, what func(context.Context, key.Key) error) error {
	p := k.token.place
	return k.token.with(ctx, func(ctx context.Context, s *session, c card.Card) error {
		one, err := s.key(ctx, c, k.ref)
		if err == nil {
			err = s.reconsider(ctx, one)
		}
		if err != nil {
			return err
		}
		p.serving(k.about.Always && !p.keeper.o.CacheAlways, by)
		defer p.serving(false)
		err = what(ctx, one)
		err = errors.Join(err, s.acknowledge(err))
		if err != nil || s.refused {
			s.judge(context.WithoutCancel(ctx), k, one, err)
		}
		return err
	})
}

// judge finds out whether the card accepted the PIN in a use that came to this error. One that
// it did not accept is forgotten, and another one is asked for. The same value is sent
// once more only if the card told that it did not count.
func (s *session) judge(ctx context.Context, k *heldKey, one key.Key, err error) {
	policy := s.here.Keys.Policy
	what, failed := one.PIN(ctx, key.ToUse)
	if failed != nil || !policy.Unaccepted(what) {
		return
	}
	if s.refused = err != nil; s.refused {
		s.place.pins.drop()
		s.keys, s.of = nil, nil
	}
	left := pin.Unknown()
	if what.Tries != nil {
		if now, failed := what.Tries(ctx, true); failed == nil {
			left = now
		}
	}
	if count, told := left.Count(); told {
		s.place.pins.count(what.Name(), count)
	}
	if problem.Is(err, problem.PINIncorrect) || !left.Known() {
		policy.Another(what)
	} else {
		policy.Renewed(what)
	}
	if c, failed := s.application(ctx, k.token.app); failed == nil {
		if now, failed := tries(ctx, c); failed == nil {
			s.place.tell(func(*Status) { k.token.about.Tries = now })
		}
	}
}

// reconsider has values of a key's PIN sent again that were refused, if its tries have risen.
func (s *session) reconsider(ctx context.Context, one key.Key) error {
	if !s.place.pins.doubted() {
		return nil
	}
	what, err := one.PIN(ctx, key.ToUse)
	if err != nil || what.Tries == nil {
		return err
	}
	now, err := what.Tries(ctx, true)
	if err != nil {
		return err
	}
	if count, told := now.Count(); told && s.place.pins.risen(what.Name(), count) {
		s.here.Keys.Policy.Renewed(what)
	}
	return nil
}

// serving notes who is served.
func (p *place) serving(fresh bool, by ...Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh, p.by = fresh, by
}

// key is a key of the card as it is open now.
func (s *session) key(ctx context.Context, c card.Card, ref key.Reference) (key.Key, error) {
	if one := s.keys[ref.String()]; one != nil && s.of == c {
		return one, nil
	}
	one, err := c.Key(ctx, ref)
	if err != nil {
		return nil, err
	}
	if s.of != c {
		s.of, s.keys = c, map[string]key.Key{}
	}
	s.keys[ref.String()] = one
	return one, nil
}
