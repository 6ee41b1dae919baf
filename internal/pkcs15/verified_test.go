package pkcs15

import (
	"crypto"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestNoPINIsNotSent: without a PIN a use needs one that is verified, and an empty one would use
// up a try.
func TestNoPINIsNotSent(t *testing.T) {
	c, card := openScripted(t, blankMyEID(nil))
	k := &PrivateKey{Bits: 2048, Usage: UsageSign | UsageDecrypt, path: []byte{0x50, 0x15, 0x4B, 0x01}}
	user := PIN{ID: "01", Reference: 1, Min: 4, Max: 8}
	for what, use := range map[string]func() error{
		"signs":    func() error { _, err := c.Sign(t.Context(), k, user, nil, make([]byte, 32), crypto.SHA256); return err },
		"decrypts": func() error { _, err := c.Decrypt(t.Context(), k, user, nil, make([]byte, 256), nil); return err },
	} {
		if err := use(); !errors.Is(err, errNotVerified) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if slices.ContainsFunc(card.sent, func(sent string) bool { return strings.HasPrefix(sent, "0020") }) {
		t.Errorf("%q", card.sent)
	}
}
