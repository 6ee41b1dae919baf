package pkcs15

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// ModuleLabel is what OpenSC's PKCS#11 module calls the token with the certificate
// with this ID, where it makes a token of each PIN: that of the PIN of its key. It is
// empty where that is not certain: of a card that is known through OpenSC's tools
// alone, and of a certificate without a key.
func (c *Card) ModuleLabel(ctx context.Context, id []byte) (string, error) {
	if !c.Known() {
		return "", nil
	}
	d, err := c.Token(ctx)
	if err != nil {
		return "", err
	}
	if d.entered == nil {
		d.entered, err = c.driver.authentication(ctx, d)
	}
	if err != nil {
		return "", c.explain(err, "reading the directory of PINs")
	}
	key, err := c.Key(ctx, id)
	if err != nil {
		return "", err
	}
	pin, certain := pinOf(d.entered, key)
	if !certain || pin.SO || d.Label == "" {
		return "", nil
	}
	if userPINs(d.entered) == 1 && !c.moduleNamesOnlyPIN(ctx) {
		return moduleLabel(d.Label, ""), nil
	}
	return moduleLabel(d.Label, pin.Label), nil
}

// moduleNamesOnlyPIN reports whether OpenSC's module has the PIN in the label of a token that is
// the only one of its card: that of a version before 0.26 does (OpenSC pull request 3188). Where
// no OpenSC is installed, there is no such module whose label has to be the same.
func (c *Card) moduleNamesOnlyPIN(ctx context.Context) bool {
	const major, minor = 0, 26
	v, err := c.openSC(ctx)
	return (err == nil || v != Version{}) && v.before(major, minor)
}

// UserPINs is how many PINs the card has that OpenSC's module makes a token of.
func (d *Directory) UserPINs() int { return userPINs(d.PINs) }

// userPINs is how many PINs there are that OpenSC's module makes a token of.
func userPINs(pins []PIN) (n int) {
	for _, p := range pins {
		if !p.SO && !p.Unblocking {
			n++
		}
	}
	return n
}

// moduleLabel is "token (PIN)" where there is room for both, or one of them
// alone: the field has 32 bytes.
func moduleLabel(token, pin string) string {
	const field, least = 32, len("L... ()")
	switch {
	case pin == "" || pin == "PIN":
		return moduleText(token, field)
	case len(pin)+least > field:
		return moduleText(pin, field)
	}
	return moduleText(token, field-len(pin)-len(" ()")) + " (" + pin + ")"
}

// moduleText is text in a field of some bytes, its end cut off and marked.
func moduleText(text string, field int) string {
	const cut = "..."
	if len(text) <= field {
		return text
	}
	return text[:field-len(cut)] + cut
}

// authentication reads EF.AOD, also where every card of the kind has the same
// PINs: their labels differ.
func (a *files) authentication(ctx context.Context, d *Directory) ([]PIN, error) {
	if a.pins == nil {
		return d.PINs, nil
	}
	var pins []PIN
	for _, f := range d.files {
		if f.kind != dfAuthentication {
			continue
		}
		err := readInto(ctx, a, f.path, parsePINs, &pins)
		if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return pins, nil
}
