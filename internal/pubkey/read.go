package pubkey

import (
	"crypto"
	"encoding/pem"
	"errors"
)

// ErrNotPublic is a file that holds no public key.
var ErrNotPublic = errors.New("not a SubjectPublicKeyInfo in PEM or DER")

// Read reads a public key from a file: a SubjectPublicKeyInfo (RFC 5280, 4.1) in PEM or
// DER.
func Read(data []byte) (crypto.PublicKey, error) {
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "PUBLIC KEY" {
			return nil, ErrNotPublic
		}
		data = block.Bytes
	}
	public, err := Parse(data)
	if err != nil {
		return nil, errors.Join(ErrNotPublic, err)
	}
	return public, nil
}
