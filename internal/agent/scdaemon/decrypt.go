package scdaemon

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rsa"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// Octets before a point: one on Curve25519, and an x-coordinate that stands alone.
const (
	prefixNative = 0x40
	prefixX      = 0x41
)

// decrypt decrypts an RSA ciphertext, or agrees on a secret with the point that was set.
func (s *session) decrypt(ctx context.Context, a arguments) error {
	k, err := s.key(ctx, a.word(0))
	if err != nil {
		return err
	}
	if len(s.data) == 0 {
		return fail(errNoData, "")
	}
	var plain []byte
	if public, ok := k.about.Public.(*rsa.PublicKey); ok {
		plain, err = s.decryptRSA(k, public)
	} else {
		plain, err = s.derive(k)
	}
	if err != nil {
		return err
	}
	defer clear(plain)
	s.out.status("PADDING", "0")
	s.out.data(plain)
	return nil
}

// decryptRSA decrypts a ciphertext that has zeros too many, or too few, in front.
func (s *session) decryptRSA(k *key, public *rsa.PublicKey) ([]byte, error) {
	number := bytes.TrimLeft(s.data, "\x00")
	ciphertext := make([]byte, public.Size())
	if len(number) > len(ciphertext) {
		return nil, fail(errInvalidData, "longer than the key")
	}
	copy(ciphertext[len(ciphertext)-len(number):], number)
	return k.Decrypt(s.in.present, s.by, ciphertext, nil)
}

func (s *session) derive(k *key) ([]byte, error) {
	own, err := pubkey.Agreement(k.about.Public)
	if err != nil {
		return nil, fail(errNotSupported, "the key does not decrypt")
	}
	point, prefix := s.data, byte(prefixX)
	if own.Curve() == ecdh.X25519() {
		prefix = prefixNative
		if len(point) == len(own.Bytes())+1 {
			point = bytes.TrimPrefix(point, []byte{prefixNative})
		}
	}
	peer, err := own.Curve().NewPublicKey(point)
	if err != nil {
		return nil, fail(errInvalidData, "not a point of the curve")
	}
	shared, err := k.Derive(s.in.present, s.by, peer)
	if err != nil {
		return nil, err
	}
	defer clear(shared)
	return append([]byte{prefix}, shared...), nil
}
