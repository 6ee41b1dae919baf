package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// aidPrefix is what the AID of an OpenPGP card begins with (OpenPGP card 3.4, 4.2.1).
var aidPrefix = []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}

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

// Ready is that of Token.
func (t *held) Ready() bool { return t.place.pins.any() }

// Forget is that of Token.
func (t *held) Forget() { t.place.pins.drop() }

// Login is that of Token.
func (t *held) Login(ctx context.Context, by Client) error {
	for _, k := range t.keys {
		if !k.about.Always || len(t.keys) == 1 {
			return k.use(ctx, by, verify)
		}
	}
	return problem.New(problem.NotFound, "%s has no key", t.about.Kind)
}

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

// Sign is that of Key.
func (k *heldKey) Sign(ctx context.Context, by Client, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = k.confirmed(ctx, by, func(ctx context.Context, one key.Key) error {
		signer, err := one.Signer(ctx)
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
	err := p.ask(ctx, func(ctx context.Context, s *session) error {
		if !p.has(k.token) {
			return errReplaced
		}
		c, err := s.application(ctx, k.token.app)
		if err != nil {
			return err
		}
		one, err := s.key(ctx, c, k.ref)
		if err != nil {
			return err
		}
		p.serving(k.about.Always && !p.keeper.o.CacheAlways, by)
		defer p.serving(false)
		err = what(ctx, one)
		if err != nil || s.refused {
			s.judge(context.WithoutCancel(ctx), k, one, err)
		}
		return err
	})
	if errors.Is(err, errReplaced) {
		return p.replaced()
	}
	return err
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

// serving notes who is served.
func (p *place) serving(fresh bool, by ...Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh, p.by = fresh, by
}

// read reads what is on the card.
func (s *session) read(ctx context.Context) (all []*held, err error) {
	if s.place.module != "" {
		t, err := s.token(ctx, s.card, "")
		return one(t), err
	}
	apps, err := s.applications(ctx)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, app := range apps {
		c, err := s.application(ctx, app)
		if errors.Is(err, card.ErrLacks) {
			continue
		}
		var t *held
		if err == nil {
			t, err = s.token(ctx, c, app)
		}
		if err != nil && (key.Unreachable(ctx, err) || problem.Gone(err)) {
			return nil, err
		}
		failed = errors.Join(failed, err)
		all = append(all, one(t)...)
	}
	return all, failed
}

func one(t *held) []*held {
	if t == nil || len(t.keys) == 0 {
		return nil
	}
	return []*held{t}
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

// token reads the keys of an application; nil if it has none that can be used.
func (s *session) token(ctx context.Context, c card.Card, app string) (*held, error) {
	identity := c.Identity()
	t := &held{place: s.place, app: app}
	t.about = About{Kind: identity.Type, Serial: identity.Serial, Label: identity.Label, Model: identity.Type, Reader: s.here.Place}
	if uri, err := p11.ParseURI(s.place.name); err == nil && s.place.module != "" {
		t.about.Label, t.about.Serial = attribute(uri, p11.AttrToken), attribute(uri, p11.AttrSerial)
		t.about.Maker, t.about.Model = attribute(uri, p11.AttrManufacturer), attribute(uri, p11.AttrModel)
	}
	for _, a := range identity.Applications {
		if aid, err := hex.DecodeString(a.AID); err == nil && len(aid) == 16 && bytes.HasPrefix(aid, aidPrefix) {
			t.about.AID = aid
		}
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var failed error // of a key that the others are shown without
	for _, one := range keys {
		k, err := s.about(ctx, t, one)
		if err != nil && (key.Unreachable(ctx, err) || problem.Gone(err)) {
			return nil, err
		}
		if k != nil && err == nil {
			t.keys = append(t.keys, k)
		}
		failed = errors.Join(failed, err)
	}
	if len(t.keys) == 0 {
		return nil, failed
	}
	t.about.Number = s.place.keeper.next()
	t.about.Tries, err = tries(ctx, c)
	return t, errors.Join(failed, err, s.limits(ctx, t, keys))
}

// tries are those left of all PINs; nil where the card does not tell all of them.
func tries(ctx context.Context, c card.Card) ([]int, error) {
	pins, err := c.PINs(ctx)
	if err != nil {
		return nil, err
	}
	var left []int
	for _, one := range pins {
		if one.Tries == nil {
			return nil, nil
		}
		now, err := one.Tries(ctx, false)
		if err != nil {
			return nil, err
		}
		count, known := now.Count()
		if !known {
			return nil, nil
		}
		left = append(left, count)
	}
	return left, nil
}

// limits are the lengths of the PIN.
func (s *session) limits(ctx context.Context, t *held, keys []key.Key) error {
	what, err := keys[0].PIN(ctx, key.ToUse)
	if err == nil {
		t.about.MinPIN, t.about.MaxPIN = what.Min, what.Max
	}
	if err != nil && (key.Unreachable(ctx, err) || problem.Gone(err)) {
		return err
	}
	return nil
}

// about is what programs are told of a key; nil for a place without one, or whose public
// half nobody knows.
func (s *session) about(ctx context.Context, t *held, one key.Key) (*heldKey, error) {
	occupant, err := one.Occupant(ctx)
	if err != nil || occupant == nil {
		return nil, err
	}
	public, err := one.Public(ctx)
	if err != nil {
		return nil, err
	}
	k := &heldKey{token: t, ref: one.Reference()}
	k.about = KeyAbout{
		Ref: k.ref.String(), Label: cmp.Or(occupant.Label, k.ref.String()), Public: public, Created: occupant.Created,
		Always: occupant.PINPolicy == "always",
	}
	if k.about.Certificate, err = one.Certificate(ctx); err != nil && (key.Unreachable(ctx, err) || problem.Gone(err)) {
		return nil, err
	}
	return k, errors.Join(s.names(ctx, t, k, one, occupant.Fingerprint), s.abilities(ctx, k, one))
}

// names are those that programs know card and key by.
func (s *session) names(ctx context.Context, t *held, k *heldKey, one key.Key, fingerprint string) error {
	holder, err := one.Holder(ctx)
	if err != nil {
		return err
	}
	t.about.Serial = cmp.Or(t.about.Serial, holder.Serial)
	k.about.ID, t.about.Label = holder.CertificateID, cmp.Or(holder.Token, t.about.Label)
	if t.about.AID != nil {
		k.about.Place = holder.Place
		if k.about.Fingerprint, err = hex.DecodeString(fingerprint); err != nil {
			return err
		}
	}
	if named, ok := one.(key.Namer); ok {
		names := named.Names()
		k.about.ID, k.about.Label = names.ID, names.Label
		t.about.Label, t.about.Maker, t.about.Model = names.Token, names.Maker, p11.EmulatedModel
	}
	if uri, err := p11.ParseURI(k.about.Ref); err == nil && s.place.module != "" {
		k.about.ID, k.about.Label = []byte(attribute(uri, p11.AttrID)), attribute(uri, p11.AttrObject)
	}
	if len(k.about.ID) == 0 {
		sum := sha256.Sum256([]byte(k.about.Ref))
		k.about.ID = sum[:8]
	}
	return nil
}

// attribute is one of a URI; empty if it has none such.
func attribute(uri p11.URI, name string) string {
	value, _ := uri.Get(name)
	return value
}

// abilities are what the key does.
func (s *session) abilities(ctx context.Context, k *heldKey, one key.Key) error {
	signer, err := one.Signer(ctx)
	if err != nil && !errors.Is(err, key.ErrCannotSign) && !problem.Is(err, problem.NotSupported) {
		return err
	}
	k.about.Signs = err == nil
	agrees := k.about.Place == "" || k.about.Place == "decryption"
	switch k.about.Public.(type) {
	case *rsa.PublicKey:
		k.about.Decrypts = agrees
		k.about.PSS = err == nil && key.Makes(signer, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}) == nil
	case ed25519.PublicKey:
	default:
		k.about.Derives = agrees
	}
	return nil
}

// applications are those of the card that hold keys.
func (s *session) applications(ctx context.Context) ([]string, error) {
	apps, err := family.Holding(ctx, s.here)
	if err != nil || len(apps) > 0 {
		return apps, err
	}
	return family.Apps(func(f card.Family) bool { return family.HasKeys(f) && f.Strangers != nil }), nil
}
