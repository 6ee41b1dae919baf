package inventory

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/openpgp"
)

// Info is everything that can be read of a card without a PIN.
type Info struct {
	Card           Card
	Cardholder     *Cardholder
	Keys           []Key
	Certificates   []Certificate
	PINs           []PIN
	SignatureCount int // signatures made with OPENPGP.1
}

// Cardholder is what an OpenPGP card says of the person it belongs to.
type Cardholder struct {
	Name  string `json:"name,omitempty"`
	Login string `json:"login,omitempty"`
	URL   string `json:"url,omitempty"` // where the public key is found
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
	// Label and Usage are those of a token, Usage as it tells without a login.
	Label string      `json:"label,omitempty"`
	Usage []key.Usage `json:"usage,omitempty"`
}

// Certificate is what is stored in the place of a certificate, and the public
// key of the slot, nil where that is empty.
type Certificate struct {
	Ref    string
	Value  []byte
	Public crypto.PublicKey
	// SerializedID names the certificate of a token to OpenVPN.
	SerializedID string
}

// PIN is the state of a PIN; lengths are in bytes. An unset one has no tries
// and is not blocked; a token may not tell them (UnknownTries).
type PIN struct {
	Name      string `json:"name"`
	TriesLeft int    `json:"triesLeft"`
	MinLength int    `json:"minLength"`
	MaxLength int    `json:"maxLength"`
	Blocked   bool   `json:"blocked"`
	Set       bool   `json:"set"`
}

// Inspect reads the whole card.
func Inspect(ctx context.Context, ch *iso7816.Channel) (Info, error) {
	card, pgp, err := identify(ctx, ch)
	info := Info{Card: card, Keys: []Key{}, Certificates: []Certificate{}, PINs: []PIN{}}
	if err != nil || pgp == nil || pgp.Terminated() {
		return info, err
	}
	data, err := pgp.ApplicationRelatedData(ctx)
	if err != nil {
		return info, explain(err)
	}
	info.Card.describe(data.AID)
	info.PINs = pins(&data.Passwords)
	for _, slot := range openpgp.Slots() {
		if err := info.inspectSlot(ctx, pgp, data, slot); err != nil {
			return info, explain(err)
		}
	}
	return info, explain(info.inspectCardholder(ctx, pgp))
}

func (i *Info) inspectSlot(ctx context.Context, pgp *openpgp.Card, data *openpgp.ApplicationRelatedData, slot openpgp.Slot) error {
	ref := key.Reference{Application: key.OpenPGP, ID: fmt.Sprint(int(slot))}.String()
	var public crypto.PublicKey
	told := data.Key(slot)
	if told.State != openpgp.KeyAbsent {
		var err error
		public, err = pgp.PublicKey(ctx, slot)
		if err != nil && !errors.Is(err, openpgp.ErrNoKey) && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		if err == nil || errors.Is(err, errors.ErrUnsupported) {
			i.Keys = append(i.Keys, describeKey(ref, told, public))
		}
	}
	if !data.HasCertificate(slot) {
		return nil
	}
	value, err := pgp.Certificate(ctx, slot)
	if iso7816.StatusOf(err) != 0 {
		return nil // no such place on this card
	}
	if len(value) > 0 {
		i.Certificates = append(i.Certificates, Certificate{Ref: ref, Value: value, Public: public})
	}
	return err
}

func describeKey(ref string, told *openpgp.KeyData, public crypto.PublicKey) Key {
	k := Key{Ref: ref, Algorithm: told.Attributes.Name(), Fingerprint: fmt.Sprintf("%X", told.Fingerprint[:]), Touch: told.Touch}
	if !told.Created.IsZero() {
		k.Created = &told.Created
	}
	if public == nil {
		return k
	}
	k.describePublic(public)
	return k
}

func (k *Key) describePublic(public crypto.PublicKey) {
	k.Keygrip = key.Keygrip(public)
	if der, err := x509.MarshalPKIXPublicKey(public); err == nil {
		k.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
}

func pins(status *openpgp.PasswordStatus) []PIN {
	pin := func(name string, ref openpgp.PasswordRef, p openpgp.Password, set bool) PIN {
		return PIN{name, p.TriesLeft, ref.MinLength(), p.MaxLength, set && p.TriesLeft == 0, set}
	}
	return []PIN{
		pin("user", openpgp.PW1, status.PW1, true),
		// A resetting code that was never set shows no tries, as a blocked one does.
		pin("reset-code", openpgp.ResettingCode, status.RC, status.RC.TriesLeft > 0),
		pin("admin", openpgp.PW3, status.PW3, true),
	}
}

func (i *Info) inspectCardholder(ctx context.Context, pgp *openpgp.Card) error {
	holder, err := pgp.Cardholder(ctx)
	if err != nil {
		return err
	}
	if holder != (openpgp.Cardholder{}) {
		c := Cardholder(holder)
		i.Cardholder = &c
	}
	i.SignatureCount, err = pgp.SignatureCount(ctx)
	return err
}
