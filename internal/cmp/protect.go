package cmp

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// The errors of protections. ErrUnprotected is a message without one, ErrWrong one that
// does not verify, ErrUnknown one of another kind than was wanted, or one that is not
// known, ErrBounds one that asks for too much work.
var (
	ErrUnprotected = errors.New("the message is not protected")
	ErrWrong       = errors.New("the protection of the message does not verify")
	ErrUnknown     = errors.New("the message is not protected as was wanted")
	ErrBounds      = errors.New("the protection of the message asks for too much work")
)

// Bounds of PBMParameter (RFC 9810, 5.1.3.1).
const (
	iterations    = 10_000  // of our own
	maxIterations = 100_000 // of answers, as OpenSSL has it
	saltLength    = 16
	maxSalt       = 1024
)

var (
	oidPasswordBasedMAC = asn1.ObjectIdentifier{1, 2, 840, 113533, 7, 66, 13} // RFC 9481, 6.1.1
	oidHMACWithSHA256   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}      // RFC 9481, 6.2.1
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
)

// parameters are PBMParameter.
type parameters struct {
	salt       []byte
	oneWay     crypto.Hash
	iterations int
	mac        crypto.Hash
}

// WithSecret protects messages with a shared secret. The reference names it, and may be
// empty. The secret is used until the last message was protected.
func WithSecret(reference string, shared *secret.Bytes) (Protection, error) {
	own := parameters{salt: make([]byte, saltLength), oneWay: crypto.SHA256, iterations: iterations, mac: crypto.SHA256}
	_, _ = rand.Read(own.salt) // never fails
	p := Protection{Algorithm: identifier(oidPasswordBasedMAC, own.der())}
	if reference != "" {
		p.KeyID = []byte(reference)
		var err error
		if p.Sender, err = named(reference); err != nil {
			return p, err
		}
	}
	p.Protect = func(_ context.Context, part []byte) ([]byte, error) { return own.compute(shared, part), nil }
	return p, nil
}

// named is a Name with the reference as its common name (RFC 9483, 3.1).
func named(reference string) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidCommonName)
				b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(reference)) })
			})
		})
	})
	return b.Bytes()
}

func (p parameters) der() []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(p.salt)
		b.AddBytes(identifier(pubkey.DigestOID(p.oneWay), nil))
		b.AddASN1Int64(int64(p.iterations))
		b.AddBytes(identifier(oidHMACWithSHA256, nil))
	})
	return b.BytesOrPanic() // of known OIDs
}

// compute is the MAC of RFC 9810, 5.1.3.1. The key is as long as the digest, which HMAC
// takes whole.
func (p parameters) compute(shared *secret.Bytes, part []byte) []byte {
	h := p.oneWay.New()
	h.Write(shared.Reveal())
	h.Write(p.salt)
	key := h.Sum(nil)
	for range p.iterations - 1 {
		h.Reset()
		h.Write(key)
		key = h.Sum(key[:0])
	}
	defer secret.Wipe(key)
	mac := hmac.New(p.mac.New, key)
	mac.Write(part)
	return mac.Sum(nil)
}

// parseParameters reads PBMParameter in bounds.
func parseParameters(e ber.Element) (p parameters, err error) {
	const fields = 4
	list, err := e.Elements(fields)
	if err != nil || len(list) != fields {
		return p, ErrDamaged
	}
	if p.salt, err = octetsOf(list[0]); err != nil {
		return p, err
	}
	oneWay, _, err := algorithmOf(list[1])
	if err != nil {
		return p, err
	}
	mac, _, err := algorithmOf(list[3])
	if err != nil {
		return p, err
	}
	p.oneWay, p.iterations, p.mac = pubkey.DigestOf(oneWay), list[2].SmallInt(), digestOfHMAC(mac)
	switch {
	case p.oneWay == 0 || p.mac == 0:
		return p, ErrUnknown
	case p.iterations < 1 || p.iterations > maxIterations || len(p.salt) > maxSalt:
		return p, ErrBounds
	}
	return p, nil
}

// digestOfHMAC is the digest of an HMAC by its OID (RFC 9481, 6.2.1), 0 if unknown.
func digestOfHMAC(oid asn1.ObjectIdentifier) crypto.Hash {
	return map[string]crypto.Hash{
		"1.3.6.1.5.5.8.1.2":   crypto.SHA1,
		"1.2.840.113549.2.7":  crypto.SHA1,
		"1.2.840.113549.2.8":  crypto.SHA224,
		"1.2.840.113549.2.9":  crypto.SHA256,
		"1.2.840.113549.2.10": crypto.SHA384,
		"1.2.840.113549.2.11": crypto.SHA512,
	}[oid.String()]
}

// Protected reports whether there is a protection. It is not verified.
func (m *Message) Protected() bool { return m.protection != nil && m.algorithm != nil }

// Signed reports whether the protection is not one by a shared secret.
func (m *Message) Signed() bool { return m.Protected() && !m.algorithm.Equal(oidPasswordBasedMAC) }

// VerifySecret verifies that who protected the message knows the secret.
func (m *Message) VerifySecret(shared *secret.Bytes) error {
	switch {
	case !m.Protected():
		return ErrUnprotected
	case m.Signed():
		return ErrUnknown
	}
	p, err := parseParameters(m.parameters)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(p.compute(shared, m.part), m.protection) != 1 {
		return ErrWrong
	}
	return nil
}

// VerifySignature verifies that the key of a certificate signed the message, which names
// it as the sender (RFC 9483, 3.5). Whether it may is left to the caller.
func (m *Message) VerifySignature(by *cert.Certificate) error {
	switch {
	case !m.Protected():
		return ErrUnprotected
	case !m.Signed():
		return ErrUnknown
	case !m.Sender.Matches(by.Subject):
		return ErrWrong
	}
	if err := chain.CheckMessage(by.PublicKey, m.algorithm, m.parameters.Raw, m.part, m.protection); err != nil {
		return errors.Join(ErrWrong, err)
	}
	return nil
}
