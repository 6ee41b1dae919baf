package piv

import (
	"fmt"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
)

// Names are those of OpenSC's pkcs15-piv.c: four keys, and then the retired ones.
func (k *slotKey) Names() key.Names {
	names := key.Names{Token: "PIV_II", Maker: "piv_II"}
	switch k.slot {
	case app.Authentication:
		names.ID, names.Label = []byte{1}, "PIV AUTH key"
	case app.Signature:
		names.ID, names.Label = []byte{2}, "SIGN key"
	case app.KeyManagement:
		names.ID, names.Label = []byte{3}, "KEY MAN key"
	case app.CardAuthentication:
		names.ID, names.Label = []byte{4}, "CARD AUTH key"
	case app.Attestation: // which is not among them
	default:
		number := byte(k.slot-app.Slots()[4]) + 1
		names.ID, names.Label = []byte{4 + number}, fmt.Sprintf("Retired KEY MAN %d", number)
	}
	return names
}
