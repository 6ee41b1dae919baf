package scdaemon

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// hashNames are the values of --hash.
var hashNames = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
	"md5": crypto.MD5, "rmd160": crypto.RIPEMD160,
}

// sign signs a digest, which may stand alone or in a DigestInfo.
func (s *session) sign(ctx context.Context, a arguments) error {
	hash := crypto.SHA1
	if name, given := a.options["hash"]; given {
		if hash = hashNames[name]; hash == 0 {
			return fail(errParameter, "invalid hash algorithm")
		}
	}
	k, err := s.key(ctx, a.word(0))
	if err != nil {
		return err
	}
	if _, ok := k.about.Public.(ed25519.PublicKey); ok {
		return s.signMessage(k)
	}
	return s.signDigest(k, hash)
}

// authenticate signs what a login needs signed: a DigestInfo, or with Ed25519 a message.
func (s *session) authenticate(ctx context.Context, a arguments) error {
	k, err := s.key(ctx, a.word(0))
	if err != nil {
		return err
	}
	if _, ok := k.about.Public.(ed25519.PublicKey); ok {
		return s.signMessage(k)
	}
	return s.signDigest(k, 0)
}

// signMessage signs a message with Ed25519. gpg-agent 2.2 puts the head of a DigestInfo
// before it, whatever its length is.
func (s *session) signMessage(k *key) error {
	message := s.data
	for _, hash := range shaFunctions() {
		info, err := pubkey.AnyDigestInfo(hash, make([]byte, hash.Size()))
		if err != nil {
			return err
		}
		if rest, ok := bytes.CutPrefix(s.data, info[:len(info)-hash.Size()]); ok {
			message = rest
		}
	}
	return s.signWith(k, message, crypto.Hash(0))
}

// signDigest signs the digest that was set. hash is its kind if it stands alone, and 0 for
// one that ECDSA takes by its length.
func (s *session) signDigest(k *key, hash crypto.Hash) error {
	if hash, digest, ok := pubkey.ParseDigestInfo(s.data); ok {
		return s.signWith(k, digest, hash)
	}
	if _, ok := k.about.Public.(*ecdsa.PublicKey); ok && (hash == 0 || hash.Size() != len(s.data)) {
		hash = ofLength(len(s.data))
	}
	if hash == 0 || pubkey.DigestOID(hash) == nil || hash.Size() != len(s.data) {
		return fail(errNotSupported, "the data are not a digest")
	}
	return s.signWith(k, s.data, hash)
}

// ofLength is the SHA function whose digest has n bytes, 0 for none.
func ofLength(n int) crypto.Hash {
	for _, hash := range shaFunctions() {
		if hash.Size() == n {
			return hash
		}
	}
	return 0
}

func shaFunctions() []crypto.Hash {
	return []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
}

func (s *session) signWith(k *key, message []byte, hash crypto.Hash) error {
	if len(s.data) == 0 {
		return fail(errNoData, "")
	}
	signature, err := k.Sign(s.in.present, s.by, message, hash)
	if err != nil {
		return err
	}
	if public, ok := k.about.Public.(*ecdsa.PublicKey); ok {
		if signature, err = concatenated(signature, (public.Params().BitSize+7)/8); err != nil {
			return err
		}
	}
	if public, ok := k.about.Public.(*rsa.PublicKey); ok && len(signature) != public.Size() {
		return fail(errCard, "the signature has %d bytes", len(signature))
	}
	s.out.data(signature)
	return nil
}

// concatenated is an ECDSA signature (RFC 3279, 2.2.3) as its two numbers, n bytes each.
func concatenated(signature []byte, n int) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &numbers)
	if err != nil || len(rest) > 0 || numbers.R.Sign() <= 0 || numbers.S.Sign() <= 0 || numbers.R.BitLen() > 8*n || numbers.S.BitLen() > 8*n {
		return nil, fail(errCard, "not a signature")
	}
	both := make([]byte, 2*n)
	numbers.R.FillBytes(both[:n])
	numbers.S.FillBytes(both[n:])
	return both, nil
}
