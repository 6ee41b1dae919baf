package openpgp

import (
	"encoding/hex"
	"testing"
)

// TestSerialInAnAID has the serial of a card in the whole AID of an application, and in no
// other.
func TestSerialInAnAID(t *testing.T) {
	for text, serial := range map[string]string{
		"D276000124010304AFAF000000770000": "AFAF00000077", "D276000124010304AFAF00000077": "", "D27600012401": "",
		"F276000124010304AFAF000000770000": "", "": "",
	} {
		aid, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := instanceSerial(aid); got != serial {
			t.Errorf("%s: %s", text, got)
		}
		if serial == "" {
			continue
		}
		if other := withNumber(aid, 0x12345678); instanceSerial(other) != "AFAF12345678" || hex.EncodeToString(aid) == hex.EncodeToString(other) || instanceSerial(aid) != serial {
			t.Errorf("%X", other)
		}
	}
}
