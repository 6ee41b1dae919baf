package pubkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
)

// Verify reports whether a signature holds of what a key signed: a digest, or where opts
// name none, the message itself. opts are those of crypto.Signer.
func Verify(public crypto.PublicKey, signed, signature []byte, opts crypto.SignerOpts) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if pss, is := opts.(*rsa.PSSOptions); is {
			return rsa.VerifyPSS(key, pss.Hash, signed, signature, pss) == nil
		}
		return rsa.VerifyPKCS1v15(key, opts.HashFunc(), signed, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, signed, signature)
	case ed25519.PublicKey:
		return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, signed, signature)
	case *Other:
		return key.Curve.Verify(key.Key, signed, signature)
	}
	return false
}
