package inventory

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
)

// InspectPKCS15 adds what a PKCS#15 card has to what Inspect found. A card
// that is not initialised adds nothing.
func InspectPKCS15(ctx context.Context, card *pkcs15.Card, info *Info) error {
	d, err := card.Token(ctx)
	if problem.Is(err, problem.NotFound) {
		if info.Card.State == "" {
			info.Card.State = "not initialised"
		}
		return nil
	}
	if err != nil {
		return explain(err)
	}
	if info.Card.Serial == "" {
		info.Card.Serial, info.Card.Label = d.Serial, d.Label
	}
	if d.Incomplete && info.Card.State == "" {
		info.Card.State = "not completely initialised"
	}
	if d, err = card.Directory(ctx); err != nil {
		return explain(err)
	}
	for _, k := range d.Keys {
		shown, err := pkcs15Key(ctx, card, &k)
		if err != nil {
			return explain(err)
		}
		info.Keys = append(info.Keys, shown)
	}
	for _, c := range d.Certificates {
		value, err := card.Certificate(ctx, c.ID)
		if err != nil {
			return explain(err)
		}
		if value == nil {
			continue // an entry alone
		}
		public, err := card.PublicKey(ctx, c.ID)
		if err != nil && ctx.Err() != nil {
			return err
		}
		shown := Certificate{Ref: pkcs15Ref(c.ID), Value: value}
		token, err := card.ModuleToken(ctx, c.ID)
		if err != nil {
			return explain(err)
		}
		if token != nil {
			named := p11.Token{Manufacturer: token.Manufacturer, Model: token.Model, Serial: token.Serial, Label: token.Label}
			shown.SerializedID = named.SerializedID(c.ID)
		}
		if d.Key(c.ID) != nil {
			shown.Public = public
		}
		info.Certificates = append(info.Certificates, shown)
	}
	pins, err := pkcs15PINs(ctx, card, d)
	info.PINs = append(info.PINs, pins...)
	return err
}

// PKCS15PINs reads the state of the PINs anew and nothing else.
func PKCS15PINs(ctx context.Context, card *pkcs15.Card) ([]PIN, error) {
	if card.OnePIN() {
		return pkcs15PINs(ctx, card, &pkcs15.Directory{PINs: []pkcs15.PIN{card.FirstPIN()}})
	}
	card.Forget()
	d, err := card.Directory(ctx)
	if err != nil {
		return nil, explain(err)
	}
	return pkcs15PINs(ctx, card, d)
}

func pkcs15PINs(ctx context.Context, card *pkcs15.Card, d *pkcs15.Directory) ([]PIN, error) {
	var pins []PIN
	for _, p := range d.PINs {
		tries, err := card.Tries(ctx, p)
		if err != nil {
			return nil, explain(err)
		}
		p.TriesLeft = tries
		pins = append(pins, pkcs15PIN(p))
	}
	return pins, nil
}

// PKCS15Identity is label and serial of a PKCS#15 card, empty where it is not
// initialised.
func PKCS15Identity(ctx context.Context, card *pkcs15.Card) (label, serial string, err error) {
	d, err := card.Token(ctx)
	if problem.Is(err, problem.NotFound) {
		return "", "", nil
	}
	if err != nil {
		return "", "", explain(err)
	}
	return d.Label, d.Serial, nil
}

func pkcs15Key(ctx context.Context, card *pkcs15.Card, k *pkcs15.PrivateKey) (Key, error) {
	shown := Key{Ref: pkcs15Ref(k.ID), Algorithm: k.Algorithm(), Label: k.Label}
	for _, u := range k.Usage.Names() {
		shown.Usage = append(shown.Usage, key.Usage(u))
	}
	public, err := card.PublicKey(ctx, k.ID)
	var told *problem.Error
	if errors.As(err, &told) && told.Code == problem.Failed {
		return shown, nil // a damaged public key does not hide the private one
	}
	if err == nil && public == nil {
		shown.Fingerprint = k.Fingerprint() // what --replace wants to have named
	}
	if err != nil || public == nil {
		return shown, err
	}
	shown.Algorithm = string(key.AlgorithmOf(public))
	shown.Fingerprint, shown.Keygrip = key.TokenFingerprint(public), key.Keygrip(public)
	if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
		shown.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return shown, nil
}

func pkcs15Ref(id []byte) string { return fmt.Sprintf("PKCS15.%X", id) }

func pkcs15PIN(p pkcs15.PIN) PIN {
	return PIN{Name: p.Role(), TriesLeft: p.TriesLeft, MinLength: p.Min, MaxLength: p.Max, Blocked: p.TriesLeft == 0, Set: true}
}
