package agent

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// read reads what is on the card.
func (s *session) read(ctx context.Context) (all []*held, err error) {
	if s.place.module != "" {
		t, err := s.token(ctx, s.card, "")
		return one(t), err
	}
	s.app, s.card, s.of, s.keys = "", nil, nil, nil // looking for applications leaves the one that was open
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
		if err != nil && key.Unreachable(ctx, err) {
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

// token reads the keys of an application; nil if it has none that can be used.
func (s *session) token(ctx context.Context, c card.Card, app string) (*held, error) {
	keys, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	identity := c.Identity() // of which some families read the label with the keys
	t := &held{place: s.place, app: app}
	t.about = About{Kind: identity.Type, Serial: identity.Serial, Label: identity.Label, Model: identity.Type, Reader: s.here.Place}
	if uri, err := p11.ParseURI(s.place.name); err == nil && s.place.module != "" {
		t.about.Label, t.about.Serial = attribute(uri, p11.AttrToken), attribute(uri, p11.AttrSerial)
		t.about.Maker, t.about.Model = attribute(uri, p11.AttrManufacturer), attribute(uri, p11.AttrModel)
	}
	var failed error // of a key that the others are shown without
	for _, one := range keys {
		k, err := s.about(ctx, t, one)
		if err != nil && key.Unreachable(ctx, err) {
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
	if s.place.module == "" {
		t.about.ModuleSerial = strings.ToLower(t.about.Serial)
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
	if err != nil && key.Unreachable(ctx, err) {
		return err
	}
	return nil
}

// about is what programs are told of a key; nil for a place without one, or whose public
// half nobody knows, and for one that OpenSC's module has no name for: the attestation key
// of a PIV card is not for programs.
func (s *session) about(ctx context.Context, t *held, one key.Key) (*heldKey, error) {
	if named, ok := one.(key.Namer); ok && named.Names().ID == nil {
		return nil, nil
	}
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
		Always: occupant.EachUse(),
	}
	if k.about.Certificate, err = one.Certificate(ctx); err != nil && key.Unreachable(ctx, err) {
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
	if named, ok := one.(key.Namer); ok {
		names := named.Names()
		k.about.ID, k.about.Label = names.ID, names.Label
		t.about.Label, t.about.Maker, t.about.Model, t.about.AID = names.Token, names.Maker, p11.EmulatedModel, names.AID
	}
	if named, ok := one.(key.TokenNamer); ok {
		label, err := named.TokenLabel(ctx)
		if err != nil {
			return err
		}
		t.about.Label = cmp.Or(label, t.about.Label)
	}
	k.about.Token = t.about.Label // of the last key is that of the token
	if t.about.AID != nil {
		k.about.Place = holder.Place
		if k.about.Fingerprint, err = hex.DecodeString(fingerprint); err != nil {
			return err
		}
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
	decrypts := k.about.Place == "" || k.about.Place == "decryption"
	derives := decrypts
	if purposed, is := one.(key.Purposed); is {
		var failed error
		if decrypts, derives, failed = purposed.Uses(ctx); failed != nil {
			return failed
		}
	}
	switch k.about.Public.(type) {
	case *rsa.PublicKey:
		k.about.Decrypts = decrypts
		k.about.PSS = err == nil && key.Makes(signer, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}) == nil
	case *ecdsa.PublicKey:
		k.about.Signs = err == nil && signsDigests(signer)
		k.about.Derives = derives
	case *ecdh.PublicKey:
		k.about.Derives = derives
	}
	return nil
}

// signsDigests reports whether an elliptic curve key signs a digest that it is given: an old
// IsoApplet calculates it itself.
func signsDigests(signer crypto.Signer) bool {
	return slices.ContainsFunc([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}, func(h crypto.Hash) bool { return key.Makes(signer, h) == nil })
}

// applications are those of the card that hold keys.
func (s *session) applications(ctx context.Context) ([]string, error) {
	apps, err := family.Holding(ctx, s.here.Line)
	if err != nil || len(apps) > 0 {
		return apps, err
	}
	return family.Apps(func(f card.Family) bool { return family.HasKeys(f) && f.Strangers != nil }), nil
}
