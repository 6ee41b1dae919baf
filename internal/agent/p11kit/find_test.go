package p11kit

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"testing"
)

func TestFind(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	for _, test := range []struct {
		template []attribute
		want     int
	}{
		{nil, 11},
		{[]attribute{number(ckaClass, ckoCertificate)}, 1},
		{[]attribute{number(ckaClass, ckoPrivateKey)}, 5},
		{[]attribute{number(ckaClass, ckoPrivateKey), truth(ckaSign, true), number(ckaKeyType, ckkEC)}, 2},
		{[]attribute{{ckaLabel, []byte("RSA")}}, 3},
		{[]attribute{truth(ckaToken, false)}, 0},
		{[]attribute{number(ckaClass, 0xCE534351)}, 0},          // CKO_NSS_CRL
		{[]attribute{{0xCE534351, []byte("vendor")}}, 0},        // of NSS
		{[]attribute{number(ckaClass, ckoSecretKey)}, 0},        // none yet
		{[]attribute{{ckaID, nil}, number(ckaClass, 1)}, 0},     // an ID without bytes
		{[]attribute{{ckaWrapTemplate, []byte{0, 0, 0, 0}}}, 0}, // no object has templates
		{[]attribute{{ckaValue, make([]byte, 1<<12)}}, 0},       // longer than all
		{[]attribute{{ckaModulus, make([]byte, 256)}}, 0},       // another key
		{[]attribute{number(ckaModulusBits, 2048)}, 2},          // public and private
		{[]attribute{truth(ckaAlwaysAuthenticate, true)}, 1},    // the policy of a key
	} {
		if found := p.find(session, test.template...); len(found) != test.want {
			t.Errorf("%v finds %d objects, want %d", test.template, len(found), test.want)
		}
	}
	p.fails(ckrOperationNotInitialized, "C_FindObjects", session, room(1))
	p.fails(ckrOperationNotInitialized, "C_FindObjectsFinal", session)
	p.ok("C_FindObjectsInit", session, []attribute{})
	p.fails(ckrOperationActive, "C_FindObjectsInit", session, []attribute{})
	all := 0
	for {
		found := p.ok("C_FindObjects", session, room(4)).list()
		if all += len(found); len(found) == 0 {
			break
		}
	}
	if all != 11 {
		t.Errorf("%d objects in parts", all)
	}
}

// get asks for attributes of an object, and returns those that came, and the value.
func (p *program) get(session, object uint64, list ...wanted) (values [][]byte, lengths []int, code rv) {
	p.t.Helper()
	r := p.ok("C_GetAttributeValue", session, object, list)
	if n := r.uint32(); int(n) != len(list) {
		p.t.Fatalf("%d attributes for %d", n, len(list))
	}
	for _, a := range list {
		if kind := r.uint32(); kind != a.kind {
			p.t.Fatalf("attribute 0x%X, want 0x%X", kind, a.kind)
		}
		if r.byte() == 0 {
			values, lengths = append(values, nil), append(lengths, -1)
			continue
		}
		lengths = append(lengths, int(r.uint32()))
		switch formOf(a.kind) {
		case ofByte:
			values = append(values, r.take(1))
		case ofNumber:
			values = append(values, r.take(8))
		default:
			values = append(values, r.bytes())
		}
	}
	code = rv(r.ulong())
	if r.failed || len(r.data) > 0 {
		p.t.Fatal("the answer has another length")
	}
	return values, lengths, code
}

func TestAttributes(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	public, secret := p.one(session, ckoPublicKey, idRSA), p.one(session, ckoPrivateKey, idRSA)
	key := private[*rsa.PrivateKey](idRSA)

	// Lengths first, then values. The length is that of the value whatever its form.
	values, lengths, code := p.get(session, public, wanted{ckaModulus, 0}, wanted{ckaClass, 0}, wanted{ckaVerify, 0}, wanted{ckaID, 0})
	if code != ckrOK || lengths[0] != 256 || lengths[1] != 8 || lengths[2] != 1 || lengths[3] != 1 || values[0] != nil {
		t.Errorf("lengths %v, 0x%X", lengths, uint64(code))
	}
	values, lengths, code = p.get(session, public, wanted{ckaModulus, 256}, wanted{ckaPublicExponent, 9}, wanted{ckaID, 99}, wanted{ckaModulusBits, 8})
	if code != ckrOK || lengths[0] != 256 || lengths[1] != 3 || lengths[2] != 1 {
		t.Errorf("lengths %v, 0x%X", lengths, uint64(code))
	}
	equal(t, "modulus", values[0], key.N.Bytes())
	equal(t, "exponent", values[1], []byte{1, 0, 1})
	equal(t, "ID", values[2], []byte{idRSA})
	equal(t, "bits", values[3], ulongOf(2048))

	for name, test := range map[string]struct {
		object uint64
		ask    wanted
		want   rv
	}{
		"too small":   {public, wanted{ckaModulus, 255}, ckrBufferTooSmall},
		"unknown":     {public, wanted{0x80001234, 10}, ckrAttributeTypeInvalid},
		"not its":     {public, wanted{ckaECPoint, 100}, ckrAttributeTypeInvalid},
		"sensitive":   {secret, wanted{ckaPrivateExponent, 0}, ckrAttributeSensitive},
		"a prime":     {secret, wanted{ckaPrime1, 256}, ckrAttributeSensitive},
		"a template":  {secret, wanted{ckaWrapTemplate, 0}, ckrAttributeTypeInvalid},
		"mechanisms":  {secret, wanted{ckaAllowedMechanisms, 0}, ckrAttributeTypeInvalid},
		"public part": {secret, wanted{ckaModulus, 256}, ckrOK},
	} {
		_, lengths, code := p.get(session, test.object, test.ask, wanted{ckaLabel, 10})
		if code != test.want || lengths[1] != 3 || code != ckrOK && lengths[0] != -1 {
			t.Errorf("%s: lengths %v, 0x%X, want 0x%X", name, lengths, uint64(code), uint64(test.want))
		}
	}
	p.fails(ckrObjectHandleInvalid, "C_GetAttributeValue", session, 4711, []wanted{})
	if size := p.ok("C_GetObjectSize", session, public).ulong(); size < 256 {
		t.Errorf("size %d", size)
	}
	p.fails(ckrTokenWriteProtected, "C_DestroyObject", session, public)
	p.fails(ckrObjectHandleInvalid, "C_DestroyObject", session, 4711)
}

func TestAttributesOfCertificatesAndCurves(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	values, _, code := p.get(session, p.one(session, ckoCertificate, idRSA),
		wanted{ckaValue, 5000}, wanted{ckaSerialNumber, 20}, wanted{ckaSubject, 100}, wanted{ckaIssuer, 100}, wanted{ckaCertificateType, 8})
	if code != ckrOK {
		t.Fatalf("0x%X", uint64(code))
	}
	equal(t, "certificate", values[0], keysOfTests()[0].What.Certificate)
	equal(t, "serial number", values[1], []byte{2, 2, 0x12, 0x67})
	equal(t, "issuer", values[3], values[2])

	point, err := private[*ecdsa.PrivateKey](idEC).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	octets, err := asn1.Marshal(point)
	if err != nil {
		t.Fatal(err)
	}
	values, _, _ = p.get(session, p.one(session, ckoPublicKey, idEC), wanted{ckaECPoint, 100}, wanted{ckaECParams, 100}, wanted{ckaKeyType, 8})
	equal(t, "point", values[0], octets)
	equal(t, "curve", values[1], []byte{6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7})
	equal(t, "type", values[2], ulongOf(ckkEC))
	for id, kind := range map[byte]uint64{idEd25519: ckkECEdwards, idX25519: ckkECMontgomery} {
		values, lengths, _ := p.get(session, p.one(session, ckoPublicKey, id), wanted{ckaECPoint, 100}, wanted{ckaKeyType, 8})
		equal(t, "type", values[1], ulongOf(kind))
		if lengths[0] != 34 {
			t.Errorf("a point of %d bytes", lengths[0])
		}
	}
}

// A token that needs a login shows no private key before, and lets none be used.
func TestNeedsLogin(t *testing.T) {
	cards, _, _ := newCards(Options{NeedsLogin: true})
	p := start(t, cards)
	session := p.open()
	if found := p.find(session, number(ckaClass, ckoPrivateKey)); len(found) != 0 {
		t.Errorf("%d private keys", len(found))
	}
	if found := p.find(session); len(found) != 6 {
		t.Errorf("%d public objects", len(found))
	}
	p.ok("C_Login", session, ckuUser, none{})
	key := p.one(session, ckoPrivateKey, idEC)
	p.ok("C_Logout", session)
	p.fails(ckrUserNotLoggedIn, "C_SignInit", session, mechanism{kind: ckmECDSA}, key)
	p.fails(ckrKeyHandleInvalid, "C_SignInit", session, mechanism{kind: ckmECDSA}, 99)
}

// An attribute that holds attributes is one that no object has, in the form of old clients and in
// that of new ones.
func TestWantedAttributesInAttributes(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	object := p.one(session, ckoPrivateKey, idEC)
	asked := func(kind, room uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, kind), room)
	}
	count := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, list := range map[string][]byte{
		"old":  slices.Concat(count(2), asked(ckaWrapTemplate, 48), asked(ckaID, 9)),
		"new":  slices.Concat(count(2), asked(ckaWrapTemplate, 48), count(2), asked(ckaClass, 8), asked(ckaLabel, 0), asked(ckaID, 9)),
		"deep": slices.Concat(count(2), asked(ckaWrapTemplate, 24), count(1), asked(ckaWrapTemplate, 24), count(1), asked(ckaID, 1), asked(ckaID, 9)),
	} {
		p.send(append(request("C_GetAttributeValue", session, object), list...))
		_, r, code := p.receive()
		if code != ckrOK || r.uint32() != 2 || r.uint32() != ckaWrapTemplate || r.byte() != 0 || r.uint32() != ckaID || r.byte() != 1 {
			t.Errorf("%s: 0x%X", name, uint64(code))
		}
	}
}
