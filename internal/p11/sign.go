package p11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/miekg/pkcs11"
)

// Sign signs message with exactly this scheme. An ECDSA signature is the
// ASN.1 sequence that X.509 has, not the pair of PKCS#11. A signature of another
// length than PKCS#11 has is a problem.Mismatch: other programs do not take it.
func (k *Key) Sign(ctx context.Context, s Scheme, message []byte) ([]byte, error) {
	s.exact = true
	return k.signMessage(ctx, s, message, s.Hash.Size)
}

// signMessage hashes where the module does not. saltLength is in bytes and
// asked for only with PSS.
func (k *Key) signMessage(ctx context.Context, s Scheme, message []byte, saltLength func() int) ([]byte, error) {
	if s.input == wholeMessage {
		return k.signInput(ctx, s, message, saltLength)
	}
	h := s.Hash.New()
	h.Write(message)
	return k.signDigest(ctx, s, h.Sum(nil), saltLength)
}

// signDigest signs a hash with a scheme that takes one.
func (k *Key) signDigest(ctx context.Context, s Scheme, hashed []byte, saltLength func() int) ([]byte, error) {
	if len(hashed) != s.Hash.Size() {
		return nil, problem.New(problem.Failed, "%s: a digest of %d bytes is not one of %s", s.Mechanism, len(hashed), s.Hash)
	}
	data := hashed
	switch key := k.public.(type) {
	case *rsa.PublicKey:
		if s.input == digest {
			break
		}
		if s.PSS {
			block, err := pubkey.PadPSS(rand.Reader, key.N.BitLen(), s.Hash, hashed, saltLength())
			if err != nil {
				return nil, problem.Wrap(problem.NotSupported, err, "RSA-PSS with CKM_RSA_X_509")
			}
			data = block
			break
		}
		info, err := pubkey.AnyDigestInfo(s.Hash, hashed)
		if err != nil {
			return nil, problem.New(problem.NotSupported, "%s is not supported in an RSA signature", s.Hash)
		}
		data = info
		if s.input == paddedBlock {
			block, fits := pubkey.PadPKCS1v15(info, key.Size())
			if !fits {
				return nil, problem.New(problem.NotSupported, "an RSA key of %d bytes is too short for this hash", key.Size())
			}
			data = block
		}
	case *ecdsa.PublicKey:
		// The leftmost bits count (FIPS 186-5, 6.4.1). Cards refuse more.
		if size := (key.Curve.Params().BitSize + 7) / 8; len(data) > size {
			data = data[:size]
		}
	case *pubkey.Other:
		if size := key.Curve.Size(); size > 0 && len(data) > size {
			data = data[:size]
		}
	}
	return k.signInput(ctx, s, data, saltLength)
}

// signInput makes the call.
func (k *Key) signInput(ctx context.Context, s Scheme, data []byte, saltLength func() int) ([]byte, error) {
	m := mechanism{id: s.Mechanism}
	if s.PSS && s.input != paddedBlock {
		m.pss = &pssParameters{hash: hashes[s.Hash].mechanism, mgf: hashes[s.Hash].mgf, saltLength: uint(saltLength())}
	}
	session, library := k.session, k.session.module.library
	signature, err := k.operation(ctx, "C_Sign",
		func() error { return library.signInit(session.handle, m, k.handle) },
		func() ([]byte, error) {
			return library.sign(session.handle, data, signatureSize(k.public)+roomFor(k.public))
		})
	if err != nil {
		return nil, err
	}
	if size := signatureSize(k.public); s.exact && len(signature) != size {
		return nil, problem.New(problem.Mismatch, "the signature with %s has %d bytes where PKCS#11 has %d", s, len(signature), size).
			Because("Programs that use this module, such as browsers, expect the length of PKCS#11.")
	}
	switch key := k.public.(type) {
	case *ecdsa.PublicKey:
		return marshalECDSA(signature)
	case *pubkey.Other:
		if key.IsEC() {
			return marshalECDSA(signature)
		}
	}
	return signature, nil
}

// roomFor is how many bytes more than a signature has a module gets. One that is given
// no more cuts a longer one of ECDSA, and nobody notices. An RSA signature is as long as
// the modulus, and there are modules that report all room as used.
func roomFor(public crypto.PublicKey) int {
	if _, isRSA := public.(*rsa.PublicKey); isRSA {
		return 0
	}
	return 64
}

// signatureSize is the length in bytes of a signature as PKCS#11 has it.
func signatureSize(public crypto.PublicKey) int {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return key.Size()
	case *ecdsa.PublicKey:
		return 2 * ((key.Curve.Params().N.BitLen() + 7) / 8)
	case *pubkey.Other:
		if key.IsEC() {
			return 2 * key.Curve.Size()
		}
		const ofEd448 = 114
		return ofEd448
	}
	return ed25519.SignatureSize
}

// hashes are what PKCS#11 calls the hashes of RSA signatures.
var hashes = map[crypto.Hash]struct {
	mechanism, mgf uint
}{
	crypto.SHA1:   {pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1},
	crypto.SHA224: {pkcs11.CKM_SHA224, pkcs11.CKG_MGF1_SHA224},
	crypto.SHA256: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// marshalECDSA makes the sequence of X.509 of PKCS#11's pair: two numbers of
// the same length, one after the other (2.40 mechanisms, 2.3.1).
func marshalECDSA(raw []byte) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, problem.New(problem.Mismatch, "the module returned an ECDSA signature of %d bytes", len(raw)).
			Because("PKCS#11 requires two numbers of the same length.")
	}
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(raw[:half]),
		new(big.Int).SetBytes(raw[half:]),
	})
}
