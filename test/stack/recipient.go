package stack

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"filippo.io/age/plugin"
)

// Recipient is a P-256 key, in PEM, as age's plugin for YubiKeys names it.
func Recipient(tb testing.TB, public string) string {
	tb.Helper()
	block, _ := pem.Decode([]byte(public))
	if block == nil {
		tb.Fatal("no public key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	point, err := key.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return plugin.EncodeRecipient("yubikey", append([]byte{2 + point[len(point)-1]&1}, point[1:len(point)/2+1]...)) // SEC 1, 2.3.3
}
