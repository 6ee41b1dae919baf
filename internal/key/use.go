package key

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rsa"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Signs is nil for a key of an algorithm that signs, else the problem of one that does
// not.
func Signs(ref Reference, public crypto.PublicKey) error {
	if _, agreement := public.(*ecdh.PublicKey); agreement {
		return CannotSign(ref.String()+": an X25519 key", "X25519 is for key agreement only.")
	}
	return nil
}

// TooLong tells a message of so many bytes that is too long for a card from other
// refusals of it: Ed25519 alone has to be sent all of it. It is nil for others.
func TooLong(err error, what string, public crypto.PublicKey, length int) error {
	if _, whole := public.(ed25519.PublicKey); !whole {
		return nil
	}
	switch iso7816.StatusOf(err) {
	case iso7816.StatusWrongLength, iso7816.StatusWrongData, iso7816.StatusNoSpace:
		p := problem.New(problem.NotSupported, "%s: the card cannot sign %d bytes [%s]", what, length, iso7816.StatusOf(err)).
			Because("Ed25519 signs the whole message, and the card accepts less at a time. A shorter request may fit; a p256 key has no limit.")
		p.Cause = err
		return p
	}
	return nil
}

// Decrypts is the key, if it is one that decrypts.
func Decrypts(what string, public crypto.PublicKey) (*rsa.PublicKey, error) {
	modulus, isRSA := public.(*rsa.PublicKey)
	if !isRSA {
		return nil, problem.New(problem.NotSupported, "%s: a %s key cannot decrypt", what, AlgorithmOf(public)).
			Because("Only RSA keys decrypt; this key derives shared secrets.")
	}
	return modulus, nil
}

// Cryptogram is a ciphertext in as many bytes as the modulus has.
func Cryptogram(what string, modulus *rsa.PublicKey, ciphertext []byte) ([]byte, error) {
	if len(ciphertext) > modulus.Size() {
		return nil, problem.New(problem.Mismatch, "%s: %d bytes are too long for this key", what, len(ciphertext)).
			Because("The modulus of the key has %d bytes.", modulus.Size())
	}
	return append(make([]byte, modulus.Size()-len(ciphertext), modulus.Size()), ciphertext...), nil
}

// Agree is a key on a card and the peer's, for ECDH on one curve.
func Agree(what string, public, peer crypto.PublicKey) (own, theirs *ecdh.PublicKey, err error) {
	if own, err = pubkey.Agreement(public); err != nil {
		return nil, nil, problem.New(problem.NotSupported, "%s: a %s key cannot derive a secret", what, AlgorithmOf(public)).
			Because("Only a key on an elliptic curve can.")
	}
	theirs, err = pubkey.Agreement(peer)
	if err != nil || theirs.Curve() != own.Curve() {
		return nil, nil, problem.New(problem.Mismatch, "%s: the other key is on another curve", what).
			Because("The key on the card is %s, the other %s.", AlgorithmOf(public), AlgorithmOf(peer))
	}
	return own, theirs, nil
}
