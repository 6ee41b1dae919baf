package p11kit

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"testing"
)

func oaep() mechanism {
	return mechanism{kind: ckmRSAPKCSOAEP, hash: ckmSHA256, mgf: ckgMGF1SHA1, source: ckzDataSpecified, label: []byte("label")}
}

func TestEncryptAndDecrypt(t *testing.T) {
	for name, test := range map[string]struct {
		m    mechanism
		most int
	}{"PKCS #1 v1.5": {mechanism{kind: ckmRSAPKCS}, 245}, "OAEP": {oaep(), 190}} {
		t.Run(name, func(t *testing.T) {
			cards, _, token := newCards(Options{})
			p := start(t, cards)
			session := p.open()
			secret, public := p.one(session, ckoPrivateKey, idRSA), p.one(session, ckoPublicKey, idRSA)
			p.ok("C_EncryptInit", session, test.m, public)
			if _, length := p.ok("C_Encrypt", session, message, room(0)).output(); length != 256 {
				t.Errorf("length %d", length)
			}
			ciphertext, _ := p.ok("C_Encrypt", session, message, room(256)).output()
			p.ok("C_EncryptInit", session, test.m, public)
			p.fails(ckrDataLenRange, "C_Encrypt", session, make([]byte, test.most+1), room(256))

			// The length does not need the key. What did not fit is not decrypted again.
			p.ok("C_DecryptInit", session, test.m, secret)
			if _, length := p.ok("C_Decrypt", session, ciphertext, room(0)).output(); length != test.most || uses(token) != 0 {
				t.Errorf("length %d, %d uses of the key", length, uses(token))
			}
			if _, length := p.ok("C_Decrypt", session, ciphertext, room(3)).output(); length != len(message) {
				t.Errorf("length %d", length)
			}
			plaintext, _ := p.ok("C_Decrypt", session, ciphertext, room(200)).output()
			equal(t, "plaintext", plaintext, message)
			if n := uses(token); n != 1 {
				t.Errorf("the key was used %d times", n)
			}
			p.fails(ckrOperationNotInitialized, "C_Decrypt", session, ciphertext, room(200))

			p.ok("C_DecryptInit", session, test.m, secret)
			p.ok("C_DecryptUpdate", session, ciphertext[:100], room(0))
			p.ok("C_DecryptUpdate", session, ciphertext[100:], room(0))
			plaintext, _ = p.ok("C_DecryptFinal", session, room(200)).output()
			equal(t, "plaintext of parts", plaintext, message)

			p.ok("C_DecryptInit", session, test.m, secret)
			p.fails(ckrEncryptedDataLenRange, "C_Decrypt", session, ciphertext[1:], room(200))
			if test.m.kind == ckmRSAPKCSOAEP {
				ciphertext[200] ^= 1
				p.ok("C_DecryptInit", session, test.m, secret)
				p.fails(ckrEncryptedDataInvalid, "C_Decrypt", session, ciphertext, room(200))
			}
		})
	}
}

func TestDecryptRefuses(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	key := p.one(session, ckoPrivateKey, idRSA)
	p.fails(ckrKeyFunctionNotPermitted, "C_DecryptInit", session, mechanism{kind: ckmRSAPKCS}, p.one(session, ckoPrivateKey, idEC))
	p.fails(ckrMechanismInvalid, "C_DecryptInit", session, mechanism{kind: ckmECDSA}, key)
	m := oaep()
	m.hash = 0
	p.fails(ckrMechanismParamInvalid, "C_DecryptInit", session, m, key)
	m = oaep()
	m.source = 0
	p.fails(ckrMechanismParamInvalid, "C_DecryptInit", session, m, key)
	p.ok("C_DecryptInit", session, oaep(), key)
	p.fails(ckrOperationActive, "C_DecryptInit", session, oaep(), key)
	p.ok("C_DecryptInit", session, mechanism{kind: null}, 0)
	p.fails(ckrOperationNotInitialized, "C_DecryptUpdate", session, []byte{}, room(0))
}

// looksLikeOctets is a key whose point, 04 and two coordinates, is also an OCTET STRING of 63
// bytes: one of 256 is.
func looksLikeOctets(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	for {
		key, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if key.PublicKey().Bytes()[1] == 63 {
			return key
		}
	}
}

func TestDerive(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	derive := func(id byte, public []byte, template ...attribute) uint64 {
		t.Helper()
		return p.ok("C_DeriveKey", session, mechanism{kind: ckmECDH1Derive, kdf: ckdNull, public: public}, p.one(session, ckoPrivateKey, id), template).ulong()
	}
	value := func(object uint64) []byte {
		t.Helper()
		values, _, _ := p.get(session, object, wanted{ckaValue, 100})
		return values[0]
	}
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := private[*ecdsa.PrivateKey](idEC).ECDH()
	if err != nil {
		t.Fatal(err)
	}
	want, err := other.ECDH(own.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	point := other.PublicKey().Bytes()
	object := derive(idEC, point, number(ckaClass, ckoSecretKey), number(ckaKeyType, ckkGenericSecret), attribute{ckaLabel, []byte("agreed")})
	equal(t, "secret", value(object), want)
	octets, err := asn1.Marshal(point)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "secret of a point in an OCTET STRING", value(derive(idEC, octets)), want)
	misleading := looksLikeOctets(t)
	if want, err := misleading.ECDH(own.PublicKey()); err != nil {
		t.Error(err)
	} else {
		equal(t, "secret of a point that looks like an OCTET STRING", value(derive(idEC, misleading.PublicKey().Bytes())), want)
	}
	equal(t, "short secret", value(derive(idEC, point, number(ckaValueLen, 16))), want[16:])
	if found := p.find(session, attribute{ckaLabel, []byte("agreed")}); len(found) != 1 || found[0] != object {
		t.Errorf("found %v", found)
	}
	if _, _, code := p.get(session, derive(idEC, point, truth(ckaSensitive, true)), wanted{ckaValue, 0}); code != ckrAttributeSensitive {
		t.Errorf("a sensitive secret: 0x%X", uint64(code))
	}
	p.ok("C_DestroyObject", session, object)
	p.fails(ckrObjectHandleInvalid, "C_GetObjectSize", session, object)

	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if want, err = x.ECDH(private[*ecdh.PrivateKey](idX25519).PublicKey()); err != nil {
		t.Fatal(err)
	}
	equal(t, "X25519", value(derive(idX25519, x.PublicKey().Bytes())), want)

	// Secrets end with their session.
	second := p.open()
	kept := derive(idEC, point)
	p.ok("C_GetObjectSize", second, kept)
	p.ok("C_CloseSession", session)
	p.fails(ckrObjectHandleInvalid, "C_GetObjectSize", second, kept)
}

func TestDeriveRefuses(t *testing.T) {
	cards, _, token := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	good, err := private[*ecdsa.PrivateKey](idEC).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point := append([]byte{2}, good[1:33]...) // or 3
	ecdh1 := mechanism{kind: ckmECDH1Derive, kdf: ckdNull, public: good}
	for name, test := range map[string]struct {
		m        mechanism
		template []attribute
		want     rv
	}{
		"another mechanism":   {mechanism{kind: ckmECDSA}, nil, ckrMechanismInvalid},
		"a KDF":               {mechanism{kind: ckmECDH1Derive, kdf: 2, public: good}, nil, ckrMechanismParamInvalid},
		"shared data":         {mechanism{kind: ckmECDH1Derive, kdf: ckdNull, shared: []byte{1}, public: good}, nil, ckrMechanismParamInvalid},
		"a compressed point":  {mechanism{kind: ckmECDH1Derive, kdf: ckdNull, public: point}, nil, ckrMechanismParamInvalid},
		"no point":            {mechanism{kind: ckmECDH1Derive, kdf: ckdNull}, nil, ckrMechanismParamInvalid},
		"a token object":      {ecdh1, []attribute{truth(ckaToken, true)}, ckrTokenWriteProtected},
		"another type":        {ecdh1, []attribute{number(ckaKeyType, 0x1F)}, ckrTemplateInconsistent},
		"a value":             {ecdh1, []attribute{{ckaValue, []byte{1}}}, ckrTemplateInconsistent},
		"more than there is":  {ecdh1, []attribute{number(ckaValueLen, 33)}, ckrTemplateInconsistent},
		"more than in memory": {ecdh1, []attribute{number(ckaValueLen, 1<<63)}, ckrTemplateInconsistent},
	} {
		if _, code := p.call("C_DeriveKey", session, test.m, p.one(session, ckoPrivateKey, idEC), test.template); code != test.want {
			t.Errorf("%s: 0x%X, want 0x%X", name, uint64(code), uint64(test.want))
		}
	}
	if n := uses(token); n != 0 {
		t.Errorf("the key was used %d times", n)
	}
}

func TestRandom(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	a, _ := p.ok("C_GenerateRandom", session, room(32)).output()
	b, _ := p.ok("C_GenerateRandom", session, room(32)).output()
	if len(a) != 32 || sha256.Sum256(a) == sha256.Sum256(b) {
		t.Errorf("%X, %X", a, b)
	}
	if none, length := p.ok("C_GenerateRandom", session, room(null)).output(); none == nil || length != 0 {
		t.Errorf("%d bytes without room", length)
	}
	p.fails(ckrArgumentsBad, "C_GenerateRandom", session, room(maxBody+1))
	p.ok("C_SeedRandom", session, a)
	p.fails(ckrSessionHandleInvalid, "C_SeedRandom", session+1, a)
}
