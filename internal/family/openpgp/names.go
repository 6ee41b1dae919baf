package openpgp

import (
	"bytes"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
)

// Names are those of OpenSC's pkcs15-openpgp.c.
func (k *slotKey) Names() key.Names {
	names := key.Names{ID: []byte{1}, Label: "Signature key", Token: "OpenPGP card (User PIN (sig))", Maker: "OpenPGP project"}
	if k.seen.id != (app.ApplicationID{}) {
		names.AID = bytes.Clone(k.seen.id[:])
	}
	switch k.slot {
	case app.Decryption:
		names.ID[0], names.Label, names.Token = 2, "Encryption key", "OpenPGP card (User PIN)"
	case app.Authentication:
		names.ID[0], names.Label, names.Token = 3, "Authentication key", "OpenPGP card (User PIN)"
	}
	return names
}
