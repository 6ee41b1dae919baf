package cardsim

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Algorithm attributes of the tests, in hex.
const (
	attrP256ECDSA = "132A8648CE3D030107"
	attrP384ECDSA = "132B81040022"
	attrP521ECDSA = "132B81040023"
	attrP256ECDH  = "122A8648CE3D030107"
	attrP384ECDH  = "122B81040022"
	attrP521ECDH  = "122B81040023"
	attrEd25519   = "162B06010401DA470F01"
	attrX25519    = "122B060104019755010501"
)

// Control reference templates of the three keys.
var templates = [slots]string{"B600", "B800", "A400"}

// digestInfoSHA256 stands before a SHA-256 value in PKCS #1 v1.5.
const digestInfoSHA256 = "3031300D060960864801650304020105000420"

// testKey is an RSA key of testdata.
func testKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("testdata/rsa%d.pem", bits))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// part is one component of a private key that is imported.
type part struct {
	tag   iso7816.Tag
	value []byte
}

// headerList is what PUT DATA 3FFF imports.
func headerListOf(template []byte, parts ...part) []byte {
	var lengths, values []byte
	for _, p := range parts {
		lengths = iso7816.AppendLength(iso7816.AppendTag(lengths, p.tag), len(p.value))
		values = append(values, p.value...)
	}
	list := bytes.Clone(template)
	list = iso7816.AppendTLV(list, 0x7F48, lengths)
	list = iso7816.AppendTLV(list, 0x5F48, values)
	return iso7816.AppendTLV(nil, 0x4D, list)
}

func rsaParts(key *rsa.PrivateKey, format importFormat) []part {
	half := key.Size() / 2
	pad := func(n *big.Int) []byte { return n.FillBytes(make([]byte, half)) }
	parts := []part{
		{partExponent, []byte{0, 1, 0, 1}}, {partP, pad(key.Primes[0])}, {partQ, pad(key.Primes[1])},
	}
	if format == importCRT || format == importCRTModulus {
		parts = append(parts, part{partCoefficient, pad(key.Precomputed.Qinv)},
			part{partDP, pad(key.Precomputed.Dp)}, part{partDQ, pad(key.Precomputed.Dq)})
	}
	if format == importStandardModulus || format == importCRTModulus {
		parts = append(parts, part{partModulus, key.N.Bytes()})
	}
	return parts
}

func (h *host) importKey(list []byte, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsPutDataOdd, 0x3F, 0xFF, list, want)
}

func (h *host) generate(s slot, want iso7816.Status) []byte {
	h.t.Helper()
	return h.query(iso7816.InsGenerateKeyPair, 0x80, 0, unhex(h.t, templates[s]), want)
}

func (h *host) publicKey(s slot, want iso7816.Status) []byte {
	h.t.Helper()
	return h.query(iso7816.InsGenerateKeyPair, 0x81, 0, unhex(h.t, templates[s]), want)
}

func (h *host) sign(data []byte, want iso7816.Status) []byte {
	h.t.Helper()
	return h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, data, want)
}

func (h *host) authenticate(data []byte, want iso7816.Status) []byte {
	h.t.Helper()
	return h.query(iso7816.InsInternalAuthenticate, 0, 0, data, want)
}

func (h *host) decipher(data []byte, want iso7816.Status) []byte {
	h.t.Helper()
	return h.query(iso7816.InsPerformSecurityOp, 0x80, 0x86, data, want)
}

func (h *host) setAttributes(s slot, attributes string) {
	h.t.Helper()
	h.put(tagAttributes+iso7816.Tag(s), unhex(h.t, attributes))
}

// pointOf is the point in a public key DO.
func pointOf(t *testing.T, public []byte) []byte {
	t.Helper()
	point, ok := iso7816.FindTLV(public, 0x7F49, 0x86)
	if !ok {
		t.Fatalf("no point in %X", public)
	}
	return point
}

func checkECDSA(t *testing.T, c elliptic.Curve, point, hash, signature []byte) {
	t.Helper()
	key, err := ecdsa.ParseUncompressedPublicKey(c, point)
	if err != nil {
		t.Fatal(err)
	}
	size := (c.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		t.Fatalf("a signature of %d bytes, want %d", len(signature), 2*size)
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	if !ecdsa.Verify(key, hash, r, s) {
		t.Fatal("the signature does not verify")
	}
}

func TestECDSA(t *testing.T) {
	for _, test := range []struct {
		attributes string
		curve      elliptic.Curve
	}{
		{attrP256ECDSA, elliptic.P256()}, {attrP384ECDSA, elliptic.P384()}, {attrP521ECDSA, elliptic.P521()},
	} {
		h := opened(t, "")
		h.admin()
		h.user()
		hash := sha256.Sum256([]byte("message"))
		h.setAttributes(slotSIG, test.attributes)
		public := h.generate(slotSIG, 0x9000)
		equal(t, "public key read", h.publicKey(slotSIG, 0x9000), public)
		checkECDSA(t, test.curve, pointOf(t, public), hash[:], h.sign(hash[:], 0x9000))

		h.setAttributes(slotAUT, test.attributes)
		checkECDSA(t, test.curve, pointOf(t, h.generate(slotAUT, 0x9000)), hash[:20], h.authenticate(hash[:20], 0x9000))
		h.sign(nil, 0x6982) // PW1 was good for one signature
		h.verify(0x81, factoryPW1, 0x9000)
		h.sign(make([]byte, 65), 0x6A80)
		h.sign(nil, 0x6700)
	}
}

func TestEd25519(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.user()
	message := bytes.Repeat([]byte("message"), 100)
	h.setAttributes(slotSIG, attrEd25519)
	point := pointOf(t, h.generate(slotSIG, 0x9000))
	if !ed25519.Verify(point, message, h.sign(message, 0x9000)) {
		t.Fatal("the signature does not verify")
	}
	h.setAttributes(slotAUT, attrEd25519)
	point = pointOf(t, h.generate(slotAUT, 0x9000))
	if !ed25519.Verify(point, message, h.authenticate(message, 0x9000)) {
		t.Fatal("the signature of INTERNAL AUTHENTICATE does not verify")
	}
}

func TestECDH(t *testing.T) {
	for _, test := range []struct {
		attributes string
		curve      ecdh.Curve
	}{
		{attrP256ECDH, ecdh.P256()}, {attrP384ECDH, ecdh.P384()}, {attrP521ECDH, ecdh.P521()}, {attrX25519, ecdh.X25519()},
	} {
		h := opened(t, "")
		h.admin()
		h.user()
		h.setAttributes(slotDEC, test.attributes)
		card, err := test.curve.NewPublicKey(pointOf(t, h.generate(slotDEC, 0x9000)))
		if err != nil {
			t.Fatal(err)
		}
		ephemeral, err := test.curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ephemeral.ECDH(card)
		if err != nil {
			t.Fatal(err)
		}
		cipher := func(point []byte) []byte {
			return iso7816.AppendTLV(nil, 0xA6, iso7816.AppendTLV(nil, 0x7F49, iso7816.AppendTLV(nil, 0x86, point)))
		}
		point := ephemeral.PublicKey().Bytes()
		equal(t, "shared secret", h.decipher(cipher(point), 0x9000), want)
		if test.attributes == attrX25519 {
			equal(t, "shared secret", h.decipher(cipher(append([]byte{0x40}, point...)), 0x9000), want)
		}
		h.decipher(cipher(point[:len(point)-1]), 0x6A80)
		h.decipher(cipher(make([]byte, len(point))), 0x6A80)
		h.decipher([]byte{0x00, 1, 2, 3}, 0x6A80)
		h.decipher(nil, 0x6700)
		h.expect("0020FF82", 0x9000)
		h.decipher(cipher(point), 0x6982)
	}
}

func TestRSA(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		h := opened(t, "")
		key := testKey(t, bits)
		attributes := []byte{1, byte(bits >> 8), 0, 0, 32, 0}
		h.admin()
		h.user()
		for s := slotSIG; s < slots; s++ {
			h.put(tagAttributes+iso7816.Tag(s), attributes)
			h.importKey(headerListOf(unhex(t, templates[s]), rsaParts(key, importStandard)...), 0x9000)
			public := h.publicKey(s, 0x9000)
			modulus, _ := iso7816.FindTLV(public, 0x7F49, 0x81)
			exponent, _ := iso7816.FindTLV(public, 0x7F49, 0x82)
			equal(t, "modulus", modulus, key.N.Bytes())
			equal(t, "exponent", exponent, []byte{1, 0, 1})
		}
		equal(t, "key information", h.get(tagKeyInformation), unhex(t, "010202020302"))

		hash := sha256.Sum256([]byte("message"))
		digestInfo := append(unhex(t, digestInfoSHA256), hash[:]...)
		for _, signature := range [][]byte{h.sign(digestInfo, 0x9000), h.authenticate(digestInfo, 0x9000)} {
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature); err != nil {
				t.Fatal(err)
			}
		}
		limit := bits / 8 * 40 / 100
		h.authenticate(make([]byte, limit), 0x9000)
		h.authenticate(make([]byte, limit+1), 0x6A80)

		//lint:ignore SA1019 the specification has no other padding
		cryptogram, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("session key"))
		if err != nil {
			t.Fatal(err)
		}
		padded := append([]byte{0}, cryptogram...)
		equal(t, "plain text", h.decipher(padded, 0x9000), []byte("session key"))
		h.decipher(padded[:len(padded)-1], 0x6A80)
		h.decipher(append([]byte{1}, cryptogram...), 0x6A80)
		padded[len(padded)-1] ^= 1
		h.decipher(padded, 0x6A80)
	}
}

func TestGenerateRSA(t *testing.T) {
	h := opened(t, "")
	h.generate(slotAUT, 0x6982)
	h.admin()
	modulus, ok := iso7816.FindTLV(h.generate(slotAUT, 0x9000), 0x7F49, 0x81)
	if !ok || len(modulus) != 256 || modulus[0]&0x80 == 0 {
		t.Fatalf("modulus %X", modulus)
	}
	equal(t, "key information", h.get(tagKeyInformation), unhex(t, "010002000301"))
}

func TestRSAImportFormats(t *testing.T) {
	key := testKey(t, 2048)
	for format := importStandard; format <= importCRTModulus; format++ {
		h := opened(t, "")
		h.admin()
		h.put(tagAttributes+2, []byte{1, 8, 0, 0, 32, byte(format)})
		for sent := importStandard; sent <= importCRTModulus; sent++ {
			want := iso7816.StatusWrongData
			if sent == format {
				want = iso7816.StatusOK
			}
			h.importKey(headerListOf(unhex(t, templates[slotAUT]), rsaParts(key, sent)...), want)
		}
		parts := rsaParts(key, format)
		slices.Reverse(parts)
		h.importKey(headerListOf(unhex(t, "A403840103"), parts...), 0x9000)
	}
}

func TestImportRefusals(t *testing.T) {
	key := testKey(t, 2048)
	change := func(index int, value []byte) []byte {
		parts := rsaParts(key, importStandard)
		parts[index].value = value
		return headerListOf(unhex(t, "A400"), parts...)
	}
	good := headerListOf(unhex(t, "A400"), rsaParts(key, importStandard)...)
	p, q := key.Primes[0].Bytes(), key.Primes[1].Bytes()
	for name, list := range map[string][]byte{
		"nothing":                   {},
		"no header list":            good[4:],
		"cut":                       good[:len(good)-1],
		"something follows":         append(bytes.Clone(good), 0),
		"no such key":               headerListOf(unhex(t, "B400"), rsaParts(key, importStandard)...),
		"template of another key":   headerListOf(unhex(t, "A403840101"), rsaParts(key, importStandard)...),
		"even exponent":             change(0, []byte{0, 1, 0, 0}),
		"exponent 1":                change(0, []byte{1}),
		"exponent too long":         change(0, []byte{0, 0, 1, 0, 1}),
		"no p":                      change(1, nil),
		"p twice":                   change(2, p),
		"p is not prime":            change(1, append(bytes.Clone(p[:127]), p[127]-1)),
		"p too long":                change(1, append([]byte{0}, p...)),
		"q too short":               change(2, q[64:]),
		"p is one":                  change(1, append(make([]byte, 127), 1)),
		"other length than C3 says": headerListOf(unhex(t, "A400"), rsaParts(testKey(t, 3072), importStandard)...),
		"EC key for RSA attributes": headerListOf(unhex(t, "A400"), part{partPrivate, p[:32]}),
	} {
		t.Run(name, func(t *testing.T) {
			h := opened(t, "")
			h.importKey(good, 0x6982)
			h.admin()
			h.importKey(list, 0x6A80)
			equal(t, "key information", h.get(tagKeyInformation), unhex(t, "010002000300"))
			h.importKey(good, 0x9000)
			h.command(iso7816.InsPutDataOdd, 0x3F, 0xFE, good, 0x6B00)
		})
	}
}

func TestECImport(t *testing.T) {
	scalar := func(n int) []byte { return append(make([]byte, n-32), bytes.Repeat([]byte{0x11}, 32)...) }
	for _, test := range []struct {
		name, attributes string
		slot             slot
		private          []byte
		point            func([]byte) []byte // what comes along as the public key
		want             iso7816.Status
	}{
		{"P-256", attrP256ECDSA, slotSIG, scalar(32), nil, 0x9000},
		{"P-256 with its point", attrP256ECDSA, slotSIG, scalar(32), func(p []byte) []byte { return p }, 0x9000},
		{"P-256 with another point", attrP256ECDSA, slotSIG, scalar(32), func(p []byte) []byte { return p[:64] }, 0x6A80},
		{"P-256 where the point is wanted", attrP256ECDSA + "FF", slotSIG, scalar(32), nil, 0x6A80},
		{"P-256 where the point is wanted and there", attrP256ECDSA + "FF", slotSIG, scalar(32), func(p []byte) []byte { return p }, 0x9000},
		{"P-384 without leading zeros", attrP384ECDSA, slotAUT, scalar(32), nil, 0x9000},
		{"P-521", attrP521ECDH, slotDEC, scalar(66), nil, 0x9000},
		{"P-256 too long", attrP256ECDSA, slotAUT, scalar(33), nil, 0x6A80},
		{"P-256 zero", attrP256ECDSA, slotAUT, make([]byte, 32), nil, 0x6A80},
		{"P-256 beyond the order", attrP256ECDSA, slotAUT, bytes.Repeat([]byte{0xFF}, 32), nil, 0x6A80},
		{"Ed25519", attrEd25519, slotSIG, scalar(32), nil, 0x9000},
		{"Ed25519 with native point", attrEd25519, slotSIG, scalar(32), func(p []byte) []byte { return append([]byte{0x40}, p...) }, 0x9000},
		{"X25519", attrX25519, slotDEC, scalar(32), func(p []byte) []byte { return p }, 0x9000},
		{"nothing", attrX25519, slotDEC, nil, nil, 0x6A80},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := opened(t, "")
			h.admin()
			h.setAttributes(test.slot, test.attributes)
			parts := []part{{partPrivate, test.private}}
			if test.point != nil {
				at, err := parseAttributes(unhex(t, test.attributes))
				if err != nil {
					t.Fatal(err)
				}
				key, err := at.assembleEC(bytes.Clone(test.private))
				if err != nil {
					t.Fatal(err)
				}
				own, _ := iso7816.FindTLV(publicKey(key), 0x7F49, 0x86)
				parts = append(parts, part{partPoint, test.point(bytes.Clone(own))})
			}
			h.importKey(headerListOf(unhex(t, templates[test.slot]), parts...), test.want)
			if test.want == iso7816.StatusOK {
				equal(t, "status of the key", h.get(tagKeyInformation)[2*test.slot:][:2], []byte{byte(test.slot) + 1, 2})
			}
		})
	}
}

// TestX25519ImportIsBigEndian: the scalar comes as OpenPGP writes it, RFC 7748
// has it the other way round. Known answer of RFC 7748, 6.1.
func TestX25519ImportIsBigEndian(t *testing.T) {
	scalar := unhex(t, "77076d0a7318a57d3c16c17251b26645df4b3c6c6e4d0c4d5f2f4d5e9e7f2b2a")
	native, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		t.Fatal(err)
	}
	h := opened(t, "")
	h.admin()
	h.setAttributes(slotDEC, attrX25519)
	reversed := bytes.Clone(scalar)
	slices.Reverse(reversed)
	h.importKey(headerListOf(unhex(t, "B800"), part{partPrivate, reversed}), 0x9000)
	equal(t, "point", pointOf(t, h.publicKey(slotDEC, 0x9000)), native.PublicKey().Bytes())
}

func TestEmptySlots(t *testing.T) {
	for profile, want := range map[string]iso7816.Status{"openpgp-3.4": 0x6A88, "empty-slot-6f00": 0x6F00} {
		h := opened(t, profile)
		h.user()
		h.publicKey(slotSIG, want)
		h.sign([]byte("data"), want)
		h.authenticate([]byte("data"), want)
		h.decipher([]byte{0, 1}, want)
		equal(t, "signature counter", h.get(tagSignatureCounter), []byte{0, 0, 0})
	}
}

func TestNewAttributesTakeTheKeyAway(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.user()
	h.setAttributes(slotSIG, attrP256ECDSA)
	public := h.generate(slotSIG, 0x9000)
	fingerprint := bytes.Repeat([]byte{7}, 20)
	h.put(tagFingerprint, fingerprint)
	h.put(tagTime, []byte{1, 2, 3, 4})
	h.sign([]byte("hash"), 0x9000)
	h.setAttributes(slotSIG, attrP256ECDSA) // the same: nothing happens
	equal(t, "public key", h.publicKey(slotSIG, 0x9000), public)
	equal(t, "fingerprint", h.get(tagFingerprint), fingerprint)

	h.setAttributes(slotSIG, attrP384ECDSA)
	h.publicKey(slotSIG, 0x6A88)
	equal(t, "key information", h.get(tagKeyInformation), unhex(t, "010002000300"))
	equal(t, "fingerprint", h.get(tagFingerprint), make([]byte, 20))
	equal(t, "time", h.get(tagTime), make([]byte, 4))
	equal(t, "signature counter", h.get(tagSignatureCounter), []byte{0, 0, 0})
}

func TestKeyDeletion(t *testing.T) {
	h := opened(t, "")
	h.importKey(unhex(t, "4D02A400"), 0x6982)
	h.admin()
	h.setAttributes(slotAUT, attrP256ECDSA)
	h.generate(slotAUT, 0x9000)
	h.put(tagFingerprint+2, bytes.Repeat([]byte{7}, 20))
	h.importKey(unhex(t, "4D02A400"), 0x9000)
	h.publicKey(slotAUT, 0x6A88)
	equal(t, "attributes", h.get(tagAttributes+2), unhex(t, attrP256ECDSA))
	equal(t, "fingerprint", h.get(tagFingerprint+2), make([]byte, 20))
}

func TestAttributesThatDoNotFit(t *testing.T) {
	h := opened(t, "")
	h.admin()
	for _, test := range []struct {
		slot       slot
		attributes string
	}{
		{slotSIG, ""}, {slotSIG, "01"}, {slotSIG, "0108000020"}, {slotSIG, "01080000200000"},
		{slotSIG, "010400002000"}, {slotSIG, "010800001000"}, {slotSIG, "010800002100"}, {slotSIG, "010800002004"},
		{slotSIG, attrP256ECDH}, {slotSIG, attrX25519}, {slotDEC, attrP256ECDSA}, {slotDEC, attrEd25519}, {slotAUT, attrX25519},
		{slotAUT, "132B8104000A"}, {slotAUT, attrP256ECDSA + "01"}, {slotAUT, "13"}, {slotAUT, "132B060104019755010501"},
	} {
		h.putStatus(tagAttributes+iso7816.Tag(test.slot), unhex(t, test.attributes), 0x6A80)
	}
	h.put(tagAttributes, unhex(t, "010800001103"))

	strict := opened(t, "strict-rsa-attributes")
	equal(t, "attributes", strict.get(tagAttributes), unhex(t, "010800001100"))
	strict.admin()
	strict.putStatus(tagAttributes, unhex(t, "010C00002000"), 0x6A80)
	strict.putStatus(tagAttributes, unhex(t, "010C00001103"), 0x6A80)
	strict.put(tagAttributes, unhex(t, "010C00001100"))
	strict.put(tagAttributes+2, unhex(t, attrP256ECDSA))

	old := opened(t, "openpgp-2.0")
	old.admin()
	old.putStatus(tagAttributes, unhex(t, attrP256ECDSA), 0x6A80)
	old.put(tagAttributes, unhex(t, "011000002000"))
}

func TestNoECGeneration(t *testing.T) {
	h := opened(t, "no-ec-generation")
	h.admin()
	h.setAttributes(slotAUT, attrP256ECDSA)
	h.generate(slotAUT, 0x6A81)
	h.importKey(headerListOf(unhex(t, "A400"), part{partPrivate, bytes.Repeat([]byte{1}, 32)}), 0x9000)
}

func TestGenerateRefusals(t *testing.T) {
	h := opened(t, "")
	h.admin()
	for apdu, want := range map[string]iso7816.Status{
		"0047800002B60000":       0x9000,
		"0047800005B68403010100": 0x6A80,
		"0047800005B60384010100": 0x9000,
		"0047800005B60384010200": 0x6A80,
		"0047800002B60100":       0x6A80,
		"0047800002B40000":       0x6A80,
		"0047800000":             0x6A80,
		"0047820002B60000":       0x6B00,
		"0047800102B60000":       0x6B00,
	} {
		h.put(tagAttributes, unhex(t, attrP256ECDSA))
		h.expect(apdu, want)
	}
}

func TestSignatureCounter(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.setAttributes(slotSIG, attrP256ECDSA)
	h.generate(slotSIG, 0x9000)
	h.put(tagPasswordStatus, []byte{1}) // PW1 is good for several signatures
	h.verify(0x81, factoryPW1, 0x9000)
	for range 3 {
		h.sign([]byte("hash"), 0x9000)
	}
	h.powerCycle()
	h.selectOpenPGP()
	equal(t, "counter", h.get(tagSignatureCounter), []byte{0, 0, 3})
	h.sign([]byte("hash"), 0x6982)
	h.admin()
	h.setAttributes(slotAUT, attrP256ECDSA)
	h.generate(slotAUT, 0x9000)
	equal(t, "counter", h.get(tagSignatureCounter), []byte{0, 0, 3})
	h.generate(slotSIG, 0x9000)
	equal(t, "counter", h.get(tagSignatureCounter), []byte{0, 0, 0})
	h.sign([]byte("hash"), 0x6982)
}

func TestManageSecurityEnvironment(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.user()
	h.setAttributes(slotDEC, attrP256ECDH)
	h.setAttributes(slotAUT, attrP256ECDSA)
	dec := pointOf(t, h.generate(slotDEC, 0x9000))
	aut := pointOf(t, h.generate(slotAUT, 0x9000))
	hash := sha256.Sum256(nil)
	checkECDSA(t, elliptic.P256(), aut, hash[:], h.authenticate(hash[:], 0x9000))
	h.expect("002241A403830102", 0x9000)
	checkECDSA(t, elliptic.P256(), dec, hash[:], h.authenticate(hash[:], 0x9000))

	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(point []byte) []byte {
		t.Helper()
		peer, err := ecdh.P256().NewPublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		shared, err := ephemeral.ECDH(peer)
		if err != nil {
			t.Fatal(err)
		}
		return shared
	}
	cipher := unhex(t, "A6467F494386 41"+fmt.Sprintf("%X", ephemeral.PublicKey().Bytes()))
	equal(t, "secret with DEC", h.decipher(cipher, 0x9000), secret(dec))
	h.expect("002241B803830103", 0x9000)
	equal(t, "secret with AUT", h.decipher(cipher, 0x9000), secret(aut))

	h.expect("002241B803830101", 0x6A88)
	h.expect("002241B803840103", 0x6A80)
	h.expect("002241B603830103", 0x6B00)
	h.expect("002281B803830103", 0x6B00)

	h.selectOpenPGP()
	h.user()
	equal(t, "secret with DEC again", h.decipher(cipher, 0x9000), secret(dec))
	opened(t, "openpgp-2.0").expect("002241B803830103", 0x6D00)
}

func TestAES(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.user()
	plain := bytes.Repeat([]byte{0x42}, 32)
	encipher := func(data []byte, want iso7816.Status) []byte {
		t.Helper()
		return h.query(iso7816.InsPerformSecurityOp, 0x86, 0x80, data, want)
	}
	encipher(plain, 0x6A88)
	h.decipher(append([]byte{2}, plain...), 0x6A88)
	// FIPS 197, C.1: one block, so that the mode does not matter.
	h.put(tagAESKey, unhex(t, "000102030405060708090A0B0C0D0E0F"))
	block := unhex(t, "00112233445566778899AABBCCDDEEFF")
	cryptogram := unhex(t, "0269C4E0D86A7B0430D8CDB78070B4C55A")
	equal(t, "cryptogram", encipher(block, 0x9000), cryptogram)
	equal(t, "plain text", h.decipher(cryptogram, 0x9000), block)

	h.put(tagAESKey, bytes.Repeat([]byte{9}, 32))
	equal(t, "plain text", h.decipher(encipher(plain, 0x9000), 0x9000), plain)
	encipher(plain[:31], 0x6A80)
	h.decipher([]byte{2}, 0x6A80)
	h.expect("0020FF82", 0x9000)
	encipher(plain, 0x6982)
	opened(t, "openpgp-2.0").expect("002A868000", 0x6B00)
}

func TestGetChallenge(t *testing.T) {
	h := opened(t, "")
	first := h.expect("0084000020", 0x9000)
	if len(first) != 32 || bytes.Equal(first, h.expect("0084000020", 0x9000)) {
		t.Fatalf("challenge %X", first)
	}
	if n := len(h.expect("00840000000800", 0x9000)); n != 2048 {
		t.Fatalf("%d bytes", n)
	}
	h.expect("00840000000801", 0x6700)
	h.expect("00840000", 0x6700)
	h.expect("0084010020", 0x6B00)
}

func TestButton(t *testing.T) {
	h := opened(t, "button-not-pressed")
	h.admin()
	h.user()
	h.setAttributes(slotAUT, attrP256ECDSA)
	h.generate(slotAUT, 0x9000)
	h.authenticate([]byte("hash"), 0x9000)
	h.put(tagUIF+2, unhex(t, "0120"))
	h.authenticate([]byte("hash"), 0x6600)
	h.put(tagUIF+2, unhex(t, "0020"))
	h.authenticate([]byte("hash"), 0x9000)
}

func TestUnknownSecurityOperation(t *testing.T) {
	h := opened(t, "")
	h.user()
	h.expect("002A9E9B0131", 0x6B00)
	h.expect("00880001013100", 0x6B00)
}
