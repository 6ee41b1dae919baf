package piv

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
)

// Attest has the card state that it made the key (Yubico). It changes nothing.
func (k *slotKey) Attest(ctx context.Context) (*key.Attestation, error) {
	what := "attest " + k.ref.String()
	if k.slot == app.Attestation {
		return nil, problem.New(problem.NotSupported, "%s: this is the key that attests the others", what).
			Because("A card makes no statement about it.").Advise(advice.Do(advice.ShowCard))
	}
	selected, err := k.fresh(ctx)
	if err != nil {
		return nil, explain(err, what, "")
	}
	about, err := k.about(ctx, byte(k.slot))
	if err != nil && (!app.Unanswered(err) || errors.Is(err, app.ErrEmpty)) {
		return nil, explain(err, what, "")
	}
	der, err := selected.Attest(ctx, k.slot)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, key.Wrap(problem.NotSupported, err, what+": this card makes no statements about its keys", "YubiKeys do, since firmware 4.3.").
			Advise(advice.Do(advice.ShowCard))
	case errors.Is(err, app.ErrEmpty):
		return nil, notAttested(what, about, err)
	case err != nil:
		return nil, explain(err, what, "")
	}
	made := &key.Attestation{Statement: der, Public: about.Public, Reports: k.reports(about)}
	statement, err := app.ParseStatement(der)
	if err != nil {
		return nil, unreadable(what+": the statement of the card cannot be read", err)
	}
	made.States, made.Extensions = claims(statement), extensions(statement)
	issuer := k.key(app.Attestation)
	if made.Issuer, err = issuer.Certificate(ctx); errors.Is(err, app.ErrMalformed) {
		return nil, unreadable(what+": the certificate of "+issuer.ref.String()+" cannot be read", err)
	}
	return made, explain(err, what, "")
}

func unreadable(what string, err error) error {
	return key.Wrap(problem.Mismatch, err, what, problem.Sentence(err.Error())).Advise(advice.Do(advice.ShowCard))
}

// notAttested is the error of a key for which the card does not vouch.
func notAttested(what string, about app.Metadata, cause error) error {
	why := "It makes statements only about keys that it generated, and the slot is empty or holds an imported key."
	if about.Origin == originImported {
		why = "The key was imported, and the card makes statements only about keys that it generated."
	}
	return key.Wrap(problem.NotSupported, cause, what+": the card makes no statement about this key", why).Advise(advice.Do(advice.ShowCard))
}

// reports is what the card says of the key elsewhere.
func (k *slotKey) reports(about app.Metadata) key.Claims {
	c := key.Claims{Place: k.ref.String(), PINPolicy: policy(about.PIN), TouchPolicy: policy(about.Touch)}
	if k.seen.numbered {
		c.Serial = k.seen.serial
	}
	if k.firmware != nil && *k.firmware != (app.Firmware{}) {
		c.Firmware = k.firmware.String()
	}
	return c
}

// claims are what a statement says. That a card made the key is what it is made for.
func claims(s *app.Statement) key.Claims {
	c := key.Claims{Origin: origins[originGenerated], PINPolicy: policy(s.PIN), TouchPolicy: policy(s.Touch)}
	if s.Slot != 0 {
		c.Place = referenceOf(s.Slot).String()
	}
	if s.Numbered {
		c.Serial = serialNumber(s.Serial)
	}
	if s.Firmware != (app.Firmware{}) {
		c.Firmware = s.Firmware.String()
	}
	return c
}

// extensions are those of Yubico, in words.
func extensions(s *app.Statement) []key.Extension {
	words := map[string]string{}
	c := claims(s)
	words["firmware"], words["serial"], words["form factor"] = c.Firmware, c.Serial, cert.YubicoFormFactor(s.FormFactor)
	if c.PINPolicy != "" || c.TouchPolicy != "" {
		words["policies"] = fmt.Sprintf("PIN %s, touch %s", c.PINPolicy, c.TouchPolicy)
	}
	for _, programme := range s.Certified {
		words[programme] = "certified"
	}
	var list []key.Extension
	for _, x := range s.Extensions {
		if name, ours := app.ExtensionName(x); ours {
			list = append(list, key.NewExtension(x.ID, x.Value, name, words[name]))
		}
	}
	return list
}
