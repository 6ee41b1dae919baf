// Package inventory reports everything about a card that needs no PIN: which
// card it is, which applications it has, and every key, certificate and PIN
// that it shows. How it is printed is left to the command line.
package inventory

import (
	"context"
	"crypto"
	"encoding/pem"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Card, Application, Unread and Fact are what a card tells of itself.
type (
	Card        = card.Identity
	Unread      = card.Unread
	Application = card.Application
	Fact        = card.Fact
)

// Info is everything that can be read of a card without a PIN.
type Info struct {
	Place        string
	Card         card.Identity
	Keys         []Key
	Certificates []Certificate
	PINs         []PIN
	// Facts are what else its applications tell.
	Facts []card.Fact
	// Unread is what could not be read.
	Unread []card.Unread
	// Module is the file of the module that was asked what programs call the keys of
	// a card, empty where none could be.
	Module string

	details bool // are wanted
	ofToken bool // is what was read
}

// Key is a key on the card.
type Key struct {
	Ref         string     `json:"ref"`
	Algorithm   string     `json:"algorithm"`
	Fingerprint string     `json:"fingerprint"`
	Keygrip     string     `json:"keygrip,omitempty"`
	Created     *time.Time `json:"created,omitempty"`
	PublicKey   string     `json:"publicKey,omitempty"` // SubjectPublicKeyInfo in PEM
	Touch       bool       `json:"touch,omitempty"`
	Label       string     `json:"label,omitempty"`
	Usage       []string   `json:"usage,omitempty"`
	Origin      string     `json:"origin,omitempty"`
	PINPolicy   string     `json:"pinPolicy,omitempty"`
	TouchPolicy string     `json:"touchPolicy,omitempty"`
	p11.KnownAs

	public crypto.PublicKey // nil where it is not told
	holder key.Holder
}

// Certificate is what is stored in the place of a certificate, and the public
// key of the place, nil where that is empty.
type Certificate struct {
	Ref    string
	Value  []byte
	Public crypto.PublicKey
	// KeyUnknown says that the card does not report which key is in the place.
	KeyUnknown bool
	// SerializedID names the certificate to OpenVPN, where it uses Module.
	SerializedID, Module string
	// Astray is why programs do not find it by its key, empty where they do.
	Astray string
}

// PIN is the state of a PIN; lengths are in bytes. An unset one has no tries
// and is not blocked; TriesLeft is -1 where it is not told.
type PIN struct {
	Name      string `json:"name"`
	TriesLeft int    `json:"triesLeft"`
	MinLength int    `json:"minLength"`
	MaxLength int    `json:"maxLength"`
	Blocked   bool   `json:"blocked"`
	Set       bool   `json:"set"`
}

// Apps are the names in --app of what can be looked into.
func Apps() []string {
	return family.Apps(func(f card.Family) bool { return f.Open != nil })
}

// Inspect reads the whole card, or token, that is meant.
func Inspect(ctx context.Context, d *desk.Desk, a desk.Access) (Info, error) {
	return inspect(ctx, d, a, false)
}

func inspect(ctx context.Context, d *desk.Desk, a desk.Access, details bool) (Info, error) {
	info := Info{Keys: []Key{}, Certificates: []Certificate{}, PINs: []PIN{}, details: details}
	var err error
	info.Card, info.Place, err = family.Visit(ctx, d, family.Wanted{Takes: Apps(), Reads: true}, a, info.visit)
	info.Unread = append(info.Unread, info.Card.Unread...)
	return info, err
}

// visit reads all that a card shows. One object that cannot be read is one line, and
// hides no other.
func (i *Info) visit(ctx context.Context, c card.Card) error {
	pins, noPINs := c.PINs(ctx)
	if err := i.unread(ctx, "PINs", noPINs); err != nil {
		return err
	}
	for _, p := range pins {
		shown, err := describePIN(ctx, p)
		if err := i.unread(ctx, "tries left of the "+p.Name(), err); err != nil {
			return err
		}
		i.PINs = append(i.PINs, shown)
	}
	keys, err := c.Keys(ctx)
	if status, _ := desk.StatusOf(err); noPINs != nil && err != nil && status == "" {
		return err // it was not refused: what the card says makes no sense
	}
	if err := i.unread(ctx, "keys and certificates", err); err != nil {
		return err
	}
	for _, k := range keys {
		if err := i.inspectKey(ctx, k); err != nil {
			return err
		}
	}
	facts, err := c.Facts(ctx)
	i.Facts = append(i.Facts, facts...)
	if err := i.unread(ctx, "other data", err); err != nil {
		return err
	}
	detailer, ok := c.(card.Detailer)
	if !ok || !i.details {
		return nil
	}
	facts, err = detailer.Details(ctx)
	i.Facts = append(i.Facts, facts...)
	return i.unread(ctx, "details", err)
}

// unread notes what could not be read. It returns the error after which nothing more
// can be.
func (i *Info) unread(ctx context.Context, what string, err error) error {
	if err == nil || key.Unreachable(ctx, err) {
		return err
	}
	i.Unread = append(i.Unread, card.Unread{What: what, Why: problem.Sentence(err.Error())})
	return nil
}

func (i *Info) inspectKey(ctx context.Context, k key.Key) error {
	ref := k.Reference().String()
	inModule, isToken := k.(named)
	i.ofToken = i.ofToken || isToken
	occupant, err := k.Occupant(ctx)
	if err := i.unread(ctx, "key "+ref, err); err != nil {
		return err
	}
	var public crypto.PublicKey
	if occupant != nil && !occupant.Unknown {
		public, err = k.Public(ctx)
		if problem.Is(err, problem.NotFound) {
			err = nil // it is not shown
		}
		if err := i.unread(ctx, "public key "+ref, err); err != nil {
			return err
		}
		found := describe(ref, occupant, public)
		if found.holder, err = k.Holder(ctx); err != nil {
			return err
		}
		if inModule != nil {
			if found.KnownAs, err = inModule.KnownAs(ctx); err != nil {
				return err
			}
		}
		i.Keys = append(i.Keys, found)
	}
	value, err := k.Certificate(ctx)
	switch {
	case problem.Is(err, problem.NotSupported), problem.Is(err, problem.NotFound):
		return nil // no such place on this card
	case err != nil:
		return i.unread(ctx, "certificate "+ref, err)
	case len(value) == 0:
		return nil
	}
	stored := Certificate{Ref: ref, Value: value, Public: public}
	if occupant != nil && (occupant.Unknown || occupant.Certified) {
		stored.Public, stored.KeyUnknown = nil, true
	}
	if inModule != nil {
		if stored.SerializedID, err = inModule.SerializedID(ctx); err != nil {
			return err
		}
	}
	return i.addCertificates(ctx, k, stored)
}

// addCertificates adds the certificate of a key, and what others it has.
func (i *Info) addCertificates(ctx context.Context, k key.Key, first Certificate) error {
	shelf, ok := k.(key.Shelf)
	if !ok {
		i.Certificates = append(i.Certificates, first)
		return nil
	}
	shelved, err := shelf.Shelved(ctx)
	for n, c := range shelved {
		stored := first
		if stored.Value, stored.Astray = c.DER, c.Astray; n > 0 {
			stored.SerializedID = ""
		}
		i.Certificates = append(i.Certificates, stored)
	}
	return err
}

func describe(ref string, o *key.Occupant, public crypto.PublicKey) Key {
	k := Key{
		Ref: ref, Algorithm: string(o.Algorithm), Fingerprint: o.Fingerprint, Touch: o.Touch, Label: o.Label,
		Origin: o.Origin, PINPolicy: o.PINPolicy, TouchPolicy: o.TouchPolicy, public: public,
	}
	for _, u := range o.Usage {
		k.Usage = append(k.Usage, string(u))
	}
	if !o.Created.IsZero() {
		k.Created = &o.Created
	}
	if public == nil {
		return k
	}
	k.Keygrip = key.Keygrip(public)
	if der, err := pubkey.Marshal(public); err == nil {
		k.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return k
}

func describePIN(ctx context.Context, p pin.PIN) (PIN, error) {
	shown := PIN{Name: string(p.Role), MinLength: p.Min, MaxLength: p.Max, Set: !p.Unset, TriesLeft: pin.Unknown().Number()}
	if p.Label != "" {
		shown.Name += "-" + p.Label
	}
	if p.Tries == nil {
		return shown, nil
	}
	left, err := p.Tries(ctx, false)
	if err != nil {
		return shown, err
	}
	shown.TriesLeft, shown.Blocked = left.Number(), left.None() && !p.Unset
	return shown, nil
}
