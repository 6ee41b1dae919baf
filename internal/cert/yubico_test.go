package cert

import (
	"encoding/asn1"
	"testing"
)

func TestYubicoExtensions(t *testing.T) {
	x := Extension{ID: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 5, 7}, Value: []byte("\x02\x04\x00\xBC\x61\x4E")}
	if arc, ok := x.Yubico(5); arc != 7 || !ok {
		t.Errorf("%d, %v", arc, ok)
	}
	for _, id := range []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 41482, 3, 7}, {1, 3, 6, 1, 4, 1, 41482, 5}, {1, 3, 6, 1, 4, 1, 41482, 5, 7, 1}, nil} {
		if _, ok := (Extension{ID: id}).Yubico(5); ok {
			t.Errorf("%v", id)
		}
	}
	if n, ok := x.Number(); n != 12345678 || !ok {
		t.Errorf("%d, %v", n, ok)
	}
	for value, want := range map[string]bool{"\x05\x04\x03": true, "\x04\x03\x05\x04\x03": true, "\x04\x03\x05\x04": false, "\x04\x03\x05\x04\x03\x00": false, "": false} {
		if v, ok := (Extension{Value: []byte(value)}).Bytes(3); ok != want || ok && string(v) != "\x05\x04\x03" {
			t.Errorf("%X: %X, %v", value, v, ok)
		}
	}
	if YubicoFormFactor(0x83) != "USB-C keychain" || YubicoFormFactor(0) != "" {
		t.Error("names of form factors")
	}
}
