package openpgp

import (
	"encoding/binary"
	"slices"

	app "github.com/cardctl/cardctl/internal/openpgp"
)

// instanceSerial is the serial in the AID of an application (4.2.1); empty if it is not
// the whole AID of one.
func instanceSerial(aid []byte) string {
	id, err := app.ParseApplicationID(aid)
	if err != nil {
		return ""
	}
	return id.Serial()
}

// withNumber is the AID with another serial number; the manufacturer stays.
func withNumber(aid []byte, number uint32) []byte {
	const at = 10
	numbered := slices.Clone(aid)
	binary.BigEndian.PutUint32(numbered[at:], number)
	return numbered
}
