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
	const size = 32                                     // bytes of a coordinate
	point := append([]byte{4}, make([]byte, 2*size)...) // uncompressed (SEC 1, 2.3.3)
	x.FillBytes(point[1 : 1+size])
	y.FillBytes(point[1+size:])
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return key
}
