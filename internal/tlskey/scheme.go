// Package tlskey uses a key that signs elsewhere, such as on a card, as that of a TLS
// client: which signatures TLS has for it, and its certificate for crypto/tls.
package tlskey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
)

// Scheme is a signature of TLS (RFC 8446, 4.2.3) and what a key has to be able to do for it.
type Scheme struct {
	ID   tls.SignatureScheme
	Opts crypto.SignerOpts
}

// RSAPSS are those of RSA keys in every version.
func RSAPSS() []Scheme {
	pss := func(id tls.SignatureScheme, hash crypto.Hash) Scheme {
		return Scheme{id, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}}
	}
	return []Scheme{pss(tls.PSSWithSHA256, crypto.SHA256), pss(tls.PSSWithSHA384, crypto.SHA384), pss(tls.PSSWithSHA512, crypto.SHA512)}
}

// RSAPKCS1 are those of RSA keys that TLS 1.3 does not have.
func RSAPKCS1() []Scheme {
	return []Scheme{{tls.PKCS1WithSHA256, crypto.SHA256}, {tls.PKCS1WithSHA384, crypto.SHA384}, {tls.PKCS1WithSHA512, crypto.SHA512}}
}

// Schemes are the signatures that a version of TLS knows for a kind of key, none for one
// that it does not know. TLS 1.3 binds the hash to the curve (RFC 8446, 4.2.3).
func Schemes(version uint16, public crypto.PublicKey) []Scheme {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if version == tls.VersionTLS13 {
			return RSAPSS()
		}
		return append(RSAPSS(), RSAPKCS1()...)
	case *ecdsa.PublicKey:
		all := []Scheme{
			{tls.ECDSAWithP256AndSHA256, crypto.SHA256}, {tls.ECDSAWithP384AndSHA384, crypto.SHA384}, {tls.ECDSAWithP521AndSHA512, crypto.SHA512},
		}
		if version != tls.VersionTLS13 {
			return all
		}
		switch key.Curve {
		case elliptic.P256():
			return all[:1]
		case elliptic.P384():
			return all[1:2]
		case elliptic.P521():
			return all[2:]
		}
	case ed25519.PublicKey:
		return []Scheme{{tls.Ed25519, crypto.Hash(0)}}
	}
	return nil
}
