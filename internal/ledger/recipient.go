package ledger

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"

	"filippo.io/age/plugin"
)

// RecipientKey is the public key of a recipient whose private key is on a card: that of
// age-plugin-yubikey is a compressed point of P-256. It is nil for others.
func RecipientKey(recipient string) crypto.PublicKey {
	name, data, err := plugin.ParseRecipient(recipient)
	if err != nil || name != "yubikey" {
		return nil
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), data)
	if x == nil {
		return nil
	}
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
}
