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
	return moduleLabel(d.Label, pin.Label), nil
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
