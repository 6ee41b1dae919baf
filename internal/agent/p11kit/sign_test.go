package p11kit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/pubkey"
)

var message = []byte("signed by a card")

// verifies reports whether a signature is that of a key of the tests.
func verifies(id byte, kind uint64, signature []byte) bool {
	digest := sha256.Sum256(message)
	switch key := keysOfTests()[id-1].What.Public.(type) {
	case *rsa.PublicKey:
		if kind == ckmRSAPKCSPSS || kind == ckmSHA256RSAPKCSPSS {
			return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32}) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		half := (key.Params().BitSize + 7) / 8
		return len(signature) == 2*half &&
			ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	}
	return false
}

func TestSign(t *testing.T) {
	digest := sha256.Sum256(message)
	info, err := pubkey.DigestInfo(crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	pss := mechanism{hash: ckmSHA256, mgf: ckgMGF1SHA256, salt: 32}
	for name, test := range map[string]struct {
		key  byte
		kind uint64
		data []byte
		size int
	}{
		"RSA":                {idRSA, ckmRSAPKCS, info, 256},
		"RSA, SHA-256":       {idRSA, ckmSHA256RSAPKCS, message, 256},
		"RSA PSS":            {idRSA, ckmRSAPKCSPSS, digest[:], 256},
		"RSA PSS, SHA-256":   {idRSA, ckmSHA256RSAPKCSPSS, message, 256},
		"ECDSA":              {idEC, ckmECDSA, digest[:], 64},
		"ECDSA, SHA-256":     {idEC, ckmECDSASHA256, message, 64},
		"Ed25519":            {idEd25519, ckmEDDSA, message, 64},
		"P-521, short":       {idP521, ckmECDSA, digest[:], 132},
		"P-521, with digest": {idP521, ckmECDSASHA256, message, 132},
	} {
		t.Run(name, func(t *testing.T) {
			cards, _, token := newCards(Options{})
			p := start(t, cards)
			session := p.open()
			secret, public := p.one(session, ckoPrivateKey, test.key), p.one(session, ckoPublicKey, test.key)
			m := pss
			m.kind = test.kind

			// The length does not need the key, and the operation goes on.
			p.ok("C_SignInit", session, m, secret)
			p.fails(ckrOperationActive, "C_SignInit", session, m, secret)
			for _, space := range []int{0, 1, test.size - 1, null} {
				if value, length := p.ok("C_Sign", session, test.data, room(space)).output(); value != nil || length != test.size {
					t.Errorf("%d bytes, length %d with room for %d", len(value), length, space)
				}
			}
			if n := uses(token); n != 0 {
				t.Errorf("the key was used %d times for a length", n)
			}
			signature, _ := p.ok("C_Sign", session, test.data, room(test.size)).output()
			if !verifies(test.key, test.kind, signature) {
				t.Errorf("the signature does not verify: %X", signature)
			}
			p.fails(ckrOperationNotInitialized, "C_Sign", session, test.data, room(test.size))

			// The same in parts.
			p.ok("C_SignInit", session, m, secret)
			p.ok("C_SignUpdate", session, test.data[:5])
			p.ok("C_SignUpdate", session, test.data[5:])
			p.fails(ckrOperationActive, "C_Sign", session, test.data, room(test.size))
			if _, length := p.ok("C_SignFinal", session, room(0)).output(); length != test.size {
				t.Errorf("length %d", length)
			}
			parts, _ := p.ok("C_SignFinal", session, room(512)).output()
			if !verifies(test.key, test.kind, parts) {
				t.Errorf("the signature in parts does not verify: %X", parts)
			}
			if n := uses(token); n != 2 {
				t.Errorf("the key was used %d times for 2 signatures", n)
			}

			p.ok("C_VerifyInit", session, m, public)
			p.ok("C_Verify", session, test.data, signature)
			p.ok("C_VerifyInit", session, m, public)
			p.ok("C_VerifyUpdate", session, test.data[:1])
			p.ok("C_VerifyUpdate", session, test.data[1:])
			p.ok("C_VerifyFinal", session, parts)
			signature[20] ^= 1
			p.ok("C_VerifyInit", session, m, public)
			p.fails(ckrSignatureInvalid, "C_Verify", session, test.data, signature)
			p.ok("C_VerifyInit", session, m, public)
			p.fails(ckrSignatureLenRange, "C_Verify", session, test.data, signature[1:])
			p.fails(ckrOperationNotInitialized, "C_Verify", session, test.data, signature)
		})
	}
}

func TestSignRefuses(t *testing.T) {
	cards, _, token := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	key := func(id byte) uint64 { return p.one(session, ckoPrivateKey, id) }
	for name, test := range map[string]struct {
		m    mechanism
		key  uint64
		want rv
	}{
		"another kind of key":        {mechanism{kind: ckmECDSA}, key(idRSA), ckrKeyTypeInconsistent},
		"RSA with EC":                {mechanism{kind: ckmSHA1RSAPKCS}, key(idEC), ckrKeyTypeInconsistent},
		"EdDSA with EC":              {mechanism{kind: ckmEDDSA}, key(idEC), ckrKeyTypeInconsistent},
		"no key for signatures":      {mechanism{kind: ckmECDSA}, key(idX25519), ckrKeyFunctionNotPermitted},
		"a public key":               {mechanism{kind: ckmECDSA}, p.one(session, ckoPublicKey, idEC), ckrKeyHandleInvalid},
		"a certificate":              {mechanism{kind: ckmRSAPKCS}, p.one(session, ckoCertificate, idRSA), ckrKeyHandleInvalid},
		"no object":                  {mechanism{kind: ckmECDSA}, 0, ckrKeyHandleInvalid},
		"a digest alone":             {mechanism{kind: ckmSHA256}, key(idRSA), ckrMechanismInvalid},
		"an unknown mechanism":       {mechanism{kind: 0x3}, key(idRSA), ckrMechanismInvalid},
		"PSS of another hash":        {mechanism{kind: ckmSHA256RSAPKCSPSS, hash: ckmSHA1, mgf: ckgMGF1SHA1, salt: 20}, key(idRSA), ckrMechanismParamInvalid},
		"PSS with two hashes":        {mechanism{kind: ckmRSAPKCSPSS, hash: ckmSHA256, mgf: ckgMGF1SHA1, salt: 32}, key(idRSA), ckrMechanismParamInvalid},
		"PSS without salt":           {mechanism{kind: ckmRSAPKCSPSS, hash: ckmSHA256, mgf: ckgMGF1SHA256}, key(idRSA), ckrMechanismParamInvalid},
		"PSS with far too much":      {mechanism{kind: ckmRSAPKCSPSS, hash: ckmSHA256, mgf: ckgMGF1SHA256, salt: 1 << 63}, key(idRSA), ckrMechanismParamInvalid},
		"PSS with an unknown digest": {mechanism{kind: ckmRSAPKCSPSS, hash: 1, mgf: 1, salt: 1}, key(idRSA), ckrMechanismParamInvalid},
	} {
		if _, code := p.call("C_SignInit", session, test.m, test.key); code != test.want {
			t.Errorf("%s: 0x%X, want 0x%X", name, uint64(code), uint64(test.want))
		}
	}
	for name, test := range map[string]struct {
		m    mechanism
		key  byte
		data []byte
		want rv
	}{
		"RSA of what is no DigestInfo": {mechanism{kind: ckmRSAPKCS}, idRSA, message, ckrDataInvalid},
		"PSS of a short digest":        {mechanism{kind: ckmRSAPKCSPSS, hash: ckmSHA256, mgf: ckgMGF1SHA256, salt: 32}, idRSA, message, ckrDataLenRange},
		"ECDSA of nothing":             {mechanism{kind: ckmECDSA}, idEC, nil, ckrDataLenRange},
	} {
		p.ok("C_SignInit", session, test.m, key(test.key))
		if _, code := p.call("C_Sign", session, test.data, room(512)); code != test.want {
			t.Errorf("%s: 0x%X, want 0x%X", name, uint64(code), uint64(test.want))
		}
	}
	if n := uses(token); n != 0 {
		t.Errorf("keys were used %d times", n)
	}

	// A mechanism that is NULL ends the operation.
	p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, key(idEC))
	p.ok("C_SignInit", session, mechanism{kind: null}, 0)
	p.fails(ckrOperationNotInitialized, "C_Sign", session, message, room(64))

	p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, key(idEC))
	big := make([]byte, maxBody/2)
	p.ok("C_SignUpdate", session, big)
	p.ok("C_SignUpdate", session, big)
	p.fails(ckrDataLenRange, "C_SignUpdate", session, []byte{1})
}

func TestDigest(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	want := sha512.Sum384(message)
	p.ok("C_DigestInit", session, mechanism{kind: ckmSHA384})
	p.fails(ckrOperationActive, "C_DigestInit", session, mechanism{kind: ckmSHA384})
	if _, length := p.ok("C_Digest", session, message, room(47)).output(); length != 48 {
		t.Errorf("length %d", length)
	}
	digest, _ := p.ok("C_Digest", session, message, room(48)).output()
	equal(t, "digest", digest, want[:])
	p.fails(ckrOperationNotInitialized, "C_DigestUpdate", session, message)
	p.ok("C_DigestInit", session, mechanism{kind: ckmSHA384})
	p.ok("C_DigestUpdate", session, message[:3])
	p.ok("C_DigestUpdate", session, message[3:])
	p.fails(ckrOperationActive, "C_Digest", session, message, room(48))
	if _, length := p.ok("C_DigestFinal", session, room(0)).output(); length != 48 {
		t.Errorf("length %d", length)
	}
	digest, _ = p.ok("C_DigestFinal", session, room(48)).output()
	equal(t, "digest in parts", digest, want[:])
	p.fails(ckrMechanismInvalid, "C_DigestInit", session, mechanism{kind: ckmSHA256RSAPKCS})
}
