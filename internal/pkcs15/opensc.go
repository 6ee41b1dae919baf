package pkcs15

import (
	"context"
	"crypto"
	"encoding/hex"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// openSC is the driver of a card that is reached through OpenSC's programs, and
// what the other drivers leave to them.
type openSC struct{ card *Card }

func (d openSC) facts() facts {
	const least, most = 4, 8 // of OpenSC's general profile
	return facts{
		algorithm: "rsa2048", // little is known of what the card can
		pin:       PIN{ID: "01", Label: "User PIN", Reference: 1, Min: least, Max: most, TriesLeft: -1},
		puk:       PIN{Label: "PUK", Unblocking: true, TriesLeft: -1},
		soPIN:     PIN{SO: true, Min: 1, TriesLeft: -1},
	}
}

// identity is what EF.TokenInfo says where the standard has it: SELECT by the AID
// of ISO/IEC 7816-15 and by path, and READ BINARY, which cards of many kinds
// know. Of one that does not, nothing is known before OpenSC lists it.
func (d openSC) identity(ctx context.Context, ch *iso7816.Channel) (Identity, error) {
	on := files{ch: ch}
	_, err := ch.Select(ctx, pkcs15AID())
	if err == nil {
		err = on.selectPath(ctx, path(fileApplication, fileTokenInfo))
	}
	var raw []byte
	if err == nil {
		raw, err = on.ch.Send(ctx, iso7816.Command{INS: insReadBinary, Ne: iso7816.MaxShortNe})
	}
	if err != nil && iso7816.StatusOf(err) == 0 {
		return Identity{}, err
	}
	found := &Directory{}
	if parseTokenInfo(raw, found) != nil {
		return Identity{}, nil
	}
	return Identity{Serial: found.Serial, Label: found.Label}, nil
}

// directory reads all of it with pkcs15-tool.
func (d openSC) directory(ctx context.Context, _ *Directory, _ part) (*Directory, error) {
	out, err := d.card.tool(ctx, call{program: "pkcs15-tool", args: []string{"--dump", "--no-cache"}})
	if err != nil {
		return nil, missingStructure(err)
	}
	found, err := parseListing(out)
	if err != nil {
		return nil, err
	}
	return found, d.compareListing(found)
}

// AsOpenSC is what OpenSC says that the card is.
func (c *Card) AsOpenSC(ctx context.Context) (Identity, error) {
	out, err := c.tool(ctx, call{program: "pkcs15-tool", args: []string{"--list-info"}})
	if err != nil {
		return Identity{}, c.explain(err, "asking OpenSC for the card")
	}
	found, err := parseListing(out)
	if err != nil {
		return Identity{}, c.explain(err, "asking OpenSC for the card")
	}
	return Identity{Serial: found.Serial, Label: found.Label}, nil
}

// compareListing finds another card by what OpenSC says of it.
func (d openSC) compareListing(found *Directory) error {
	there := Identity{Serial: found.Serial, Label: found.Label}
	if named := d.card.listed; named != nil && *named != there {
		d.card.changed = otherCard(*named, there)
		return d.card.changed
	}
	d.card.listed = &there
	return nil
}

func (d openSC) tokenInfo(context.Context, *Directory) error { return nil }

// authentication: the labels of PINs are known, and not how OpenSC's module makes
// tokens of them.
func (d openSC) authentication(context.Context, *Directory) ([]PIN, error) { return nil, nil }

// content reads a public key or a certificate with pkcs15-tool.
func (d openSC) content(ctx context.Context, _ location, option string, id []byte) ([]byte, error) {
	out, err := d.card.tool(ctx, call{program: "pkcs15-tool", args: []string{option, hex.EncodeToString(id), "--no-cache"}})
	if err != nil || option == "--read-public-key" {
		return out, err
	}
	return derOf(out)
}

func (d openSC) publicInKey(context.Context, []byte) (crypto.PublicKey, error) { return nil, nil }

func (d openSC) usable(context.Context) error { return nil }

func (d openSC) writesWith(PIN) error { return nil }

func (d openSC) signsWith(_ *PrivateKey, opts crypto.SignerOpts) error {
	return withoutPSS(opts, "cardctl uses only PKCS#1 v1.5 with it.")
}
