package pkcs15

import (
	"context"
	"crypto"
	"encoding/hex"
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

// directory reads all of it with pkcs15-tool.
func (d openSC) directory(ctx context.Context, _ *Directory, _ part) (*Directory, error) {
	out, err := d.card.tool(ctx, call{program: "pkcs15-tool", args: []string{"--dump", "--no-cache"}})
	if err != nil {
		return nil, missingStructure(err)
	}
	return parseListing(out)
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

func (d openSC) signsWith(*PrivateKey) bool { return true }
