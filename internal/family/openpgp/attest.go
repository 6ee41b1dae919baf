package openpgp

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// attesting is what was read of a key before its card makes a statement about it.
type attesting struct {
	on     *app.Card // which it was read on
	issuer []byte    // the certificate of the attestation key
	key.Overwritten
}

func (k *slotKey) attest() string { return "attest " + k.ref.String() }

// Overwritten reads the certificate of the key, which a statement is written over.
func (k *slotKey) Overwritten(ctx context.Context) (key.Overwritten, error) {
	selected, data, err := k.data(ctx)
	if err != nil {
		return key.Overwritten{}, explain(err, k.attest(), "")
	}
	found := &attesting{on: selected}
	if data.MayAttest() {
		if found.issuer, err = selected.AttestationCertificate(ctx); err != nil {
			return key.Overwritten{}, explain(err, k.attest(), "")
		}
	}
	switch state := data.Key(k.slot).State; {
	case len(found.issuer) == 0:
		return key.Overwritten{}, problem.New(problem.NotSupported, "%s: this card makes no statements about its keys", k.attest()).
			Because("YubiKeys do, since firmware 5.2.").Advise(advice.Do(advice.ShowCard))
	case state == app.KeyAbsent:
		return key.Overwritten{}, explain(app.ErrNoKey, k.attest(), "")
	case state == app.KeyImported:
		return key.Overwritten{}, problem.New(problem.NotSupported, "%s: the card makes no statement about this key", k.attest()).
			Because("The key was imported, and the card makes statements only about keys that it generated.").Advise(advice.Do(advice.ShowCard))
	}
	if found.Certificate, err = k.Certificate(ctx); err != nil {
		return key.Overwritten{}, explain(err, k.attest(), "")
	}
	if found.Certificate != nil {
		public, err := k.Public(ctx)
		if err != nil {
			return key.Overwritten{}, explain(err, k.attest(), "")
		}
		stored, err := app.ParseStatement(found.Certificate)
		found.Statement = err == nil && pubkey.Same(stored.PublicKey, public) && signed(stored.Certificate, found.issuer)
	}
	k.attesting = found
	return found.Overwritten, nil
}

// signed reports whether a certificate is one of the key whose certificate issuer is.
func signed(c *cert.Certificate, issuer []byte) bool {
	by, err := cert.ParseStored(issuer)
	return err == nil && by.Subject.Matches(c.Issuer) && chain.CheckSignature(c, by) == nil
}

// Unlock verifies the user PIN as for a signature, and then the admin PIN, for nobody is
// asked between the two.
func (k *slotKey) Unlock(ctx context.Context, store *secret.Bytes) error {
	err := k.unlock(ctx, app.PW1Sign)
	if err == nil && store != nil {
		err = k.unlockWith(ctx, store)
	}
	if err != nil {
		return explain(err, k.attest(), stateUntouched)
	}
	selected, err := k.application(ctx)
	if err != nil || selected == k.attesting.on {
		return explain(err, k.attest(), stateUntouched)
	}
	now, err := k.Certificate(ctx) // the card was released
	if err != nil {
		return explain(err, k.attest(), stateUntouched)
	}
	if !bytes.Equal(now, k.attesting.Certificate) {
		return key.ChangedMeanwhile(k.attest()+": the certificate of the key has changed since it was read", "the card", stateUntouched)
	}
	return nil
}

func (k *slotKey) unlockWith(ctx context.Context, admin *secret.Bytes) error {
	p, err := k.pin(ctx, app.PW3)
	if err != nil {
		return err
	}
	return k.access.Policy.Given(admin).Send(ctx, p, k.verify(app.PW3))
}

// Attest has the card write its statement, and reads it.
func (k *slotKey) Attest(ctx context.Context) (*key.Attestation, error) {
	k.stored.on = nil
	selected, data, err := k.data(ctx)
	if err != nil {
		return nil, explain(err, k.attest(), "")
	}
	if data.Attestation.Touch() {
		k.access.Notify("touch the card to allow the statement")
	}
	if err := selected.Attest(ctx, k.slot); err != nil {
		return nil, explain(err, k.attest(), "")
	}
	made := &key.Attestation{Issuer: k.attesting.issuer, Reports: k.reports(data)}
	if made.Statement, err = k.Certificate(ctx); err != nil {
		return nil, explain(err, k.attest()+": reading the statement", "")
	}
	if made.Public, err = k.Public(ctx); err != nil {
		return nil, explain(err, k.attest(), "")
	}
	if statement, err := app.ParseStatement(made.Statement); err == nil { // else the caller says what is wrong
		made.States, made.Extensions = claims(statement, data.AID), extensions(statement)
	}
	return made, nil
}

// reports is what the card says of the key elsewhere.
func (k *slotKey) reports(data *app.ApplicationRelatedData) key.Claims {
	slot := data.Key(k.slot)
	return key.Claims{
		Place: k.ref.String(), Serial: data.AID.Serial(), Fingerprint: fingerprintWord(slot.Fingerprint),
		Origin: origins[slot.State], TouchPolicy: touchWord(slot.Interaction),
	}
}

// fingerprintWord is a fingerprint, empty where none is stored.
func fingerprintWord(fingerprint [20]byte) string {
	if fingerprint == [20]byte{} {
		return ""
	}
	return fmt.Sprintf("%X", fingerprint[:])
}

// claims are what a statement says. A serial is that of the card where it has its number.
func claims(s *app.Statement, id app.ApplicationID) key.Claims {
	c := key.Claims{
		Firmware: s.Firmware, Fingerprint: fingerprintWord(s.Fingerprint), Origin: origins[s.Source], TouchPolicy: touchWord(s.Interaction),
	}
	if s.Slot != 0 {
		c.Place = referenceOf(s.Slot).String()
	}
	switch {
	case s.Numbered && s.Serial == id.Number():
		c.Serial = id.Serial()
	case s.Numbered:
		c.Serial = fmt.Sprint(s.Serial)
	}
	return c
}

// extensions are those of Yubico, in words.
func extensions(s *app.Statement) []key.Extension {
	words := map[string]string{
		"cardholder": app.DecodeName([]byte(s.Cardholder)), "source": origins[s.Source], "firmware": s.Firmware, "key": fingerprintWord(s.Fingerprint),
		"touch": touchWord(s.Interaction), "form factor": cert.YubicoFormFactor(s.FormFactor), "FIPS": "certified", "CSPN": "certified",
	}
	if !s.Created.IsZero() {
		words["created"] = s.Created.Format(time.RFC3339)
	}
	if s.Counted {
		words["signature count"] = fmt.Sprint(s.SignatureCount)
	}
	if s.Numbered {
		words["serial"] = fmt.Sprint(s.Serial)
	}
	var list []key.Extension
	for _, x := range s.Extensions {
		if name, ours := app.ExtensionName(x); ours {
			list = append(list, key.NewExtension(x.ID, x.Value, name, words[name]))
		}
	}
	return list
}
