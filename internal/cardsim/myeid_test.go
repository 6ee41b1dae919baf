package cardsim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const (
	selectMyEID   = "00A404000CA000000063504B43532D313500"
	activateMyEID = "004404000CA000000063504B43532D3135"
	// initialiseMyEID lets PIN 1 make files and PIN 3 erase the card.
	initialiseMyEID = "00DA01E008 FFFF 113FFF 111FFF"
	// createMyEID makes an EF of 300 bytes that all may read and PIN 1 may change.
	createMyEID = "00E0000019 6217 8002012C 820101 83024301 8603011FFF 85020000 8A0100"
)

// myEIDInUse is a powered card with PIN 1 123456, PUK 12345678, PIN 3 87654321,
// and access control.
func myEIDInUse(t *testing.T, faults ...Fault) *host {
	t.Helper()
	card, err := NewCard(Options{Serial: "12345678", Applications: []string{myEIDName}}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.expect(selectMyEID, 0x9000)
	h.expect(initialiseMyEID, 0x9000)
	h.expect("00DA010113 313233343536FFFF 3132333435363738 030A00", 0x9000)
	h.expect("00DA010313 3837363534333231 3132333435363738 030A00", 0x9000)
	h.expect(activateMyEID, 0x9000)
	h.expect(selectMyEID, 0x9000)
	return h
}

func TestMyEIDIsKnownByItsATR(t *testing.T) {
	h := myEIDInUse(t)
	if historical := iso7816.HistoricalBytes(h.conn.ATR()); !bytes.HasSuffix(historical, []byte("MyEID")) {
		t.Errorf("historical bytes %q", historical)
	}
	equal(t, "the applet information", h.expect("00CA01A000", 0x9000), unhex(t, "1C02000000040505000000000000123456780004"))
	equal(t, "the capabilities", h.expect("00CA01AA0B", 0x9000), unhex(t, "01000910000000000002 09"))
	h.expect("00CA01A700", 0x6A88)
	h.expect("00CA00A000", 0x6A88)
	h.expect("80CA01A000", 0x6E00)
	h.expect("00B2000000", 0x6D00)
	if n := len(h.expect("0084000010", 0x9000)); n != 16 {
		t.Errorf("%d random bytes", n)
	}
}

func TestMyEIDHasNoAccessControlBeforeItIsActivated(t *testing.T) {
	card, err := NewCard(Options{Applications: []string{myEIDName}})
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.expect(selectMyEID, 0x9000)
	h.expect("00200001", 0x9000) // not needed
	h.expect(initialiseMyEID, 0x9000)
	h.expect(createMyEID, 0x9000)
	h.expect("00D6000001AA", 0x9000)
	h.expect("00DA010113 313233343536FFFF 3132333435363738 030A00", 0x9000)
	h.expect("00440400 05 A000000063", 0x6A82)
	h.expect(activateMyEID, 0x9000)
	h.expect("00D6000001BB", 0x6982)
	h.expect("00DA010113 313233343536FFFF 3132333435363738 030A00", 0x6982)
	h.expect(initialiseMyEID, 0x6982)
}

// Programs that keep copies of files tell by the counter that they are old.
func TestMyEIDCountsChanges(t *testing.T) {
	h := myEIDInUse(t)
	count := func() byte { return h.expect("00CA01A000", 0x9000)[19] }
	before := count()
	h.verify(1, "123456", 0x9000)
	h.verify(1, "000000", 0x63C2)
	h.verify(1, "123456", 0x9000)
	if count() != before {
		t.Error("a PIN counts as a change")
	}
	for n, change := range []string{createMyEID, "00D6000001AA", "00E40000"} {
		if h.expect(change, 0x9000); count() != before+byte(n)+1 {
			t.Errorf("%s is not counted", change)
		}
	}
	h.verify(3, "87654321", 0x9000)
	if h.expect(initialiseMyEID, 0x9000); count() != before+4 {
		t.Error("erasing is not counted")
	}
}

func TestMyEIDPINs(t *testing.T) {
	h := myEIDInUse(t)
	h.expect("00200002", 0x6983) // never set
	h.expect("0020000F", 0x6A86)
	h.expect("00200001", 0x63C3)
	h.verify(1, "000000", 0x63C2)
	h.powerCycle()
	h.expect(selectMyEID, 0x9000)
	equal(t, "PIN information", h.expect("00CA01B100", 0x9000), []byte{2, 10, 3, 10, 0, 0, 0, 4, 4})
	h.verify(1, "123456\x00\x00", 0x9000)
	h.expect("00200001", 0x9000)
	h.expect("002E0001", 0x9000)
	h.expect("00200001", 0x63C3)
	h.expect("0024000110 313233343536FFFF 31FFFFFFFFFFFFFF", 0x6700) // too short
	h.expect("0024000110 313233343536FFFF 363534333231FFFF", 0x9000)
	h.verify(1, "123456", 0x63C2)
	h.verify(1, "123456", 0x63C1)
	h.verify(1, "123456", 0x6983)
	h.verify(1, "654321", 0x6983)
	h.expect("002C000110 3837363534333231 313131313131FFFF", 0x63C9)
	h.expect("002C000110 3132333435363738 313131313131FFFF", 0x9000)
	h.verify(1, "111111", 0x9000)
	h.expect("00CA01B200", 0x9000)
}

func TestMyEIDFiles(t *testing.T) {
	h := myEIDInUse(t)
	h.expect(createMyEID, 0x6982)
	h.verify(1, "123456", 0x9000)
	h.expect(createMyEID, 0x9000)
	h.expect(createMyEID, 0x6A89)
	h.expect("00D6012B01AA", 0x9000)
	h.expect("00D6012B02AAAA", 0x6B00)
	equal(t, "the file control information", h.expect("00A4080004 5015 4301 00", 0x9000),
		unhex(t, "6F17 8002012C 820101 83024301 8603011FFF 85020000 8A0107"))
	if n := len(h.expect("00B0000000", 0x9000)); n != 256 {
		t.Errorf("%d bytes", n)
	}
	equal(t, "the last byte", h.expect("00B0012B01", 0x9000), []byte{0xAA})
	if n := len(h.expect("00B0010000", 0x9000)); n != 44 {
		t.Errorf("%d bytes", n)
	}
	h.expect("00B0010080", 0x6282)
	h.expect("00B0012C00", 0x6282)
	for apdu, want := range map[string]iso7816.Status{
		"00A40000023F00":     0x9000,
		"00A4080C025015":     0x9000,
		"00A4010C024301":     0x9000, // in the DF that is current
		"00A4030C":           0x9000,
		"00A4000C024301":     0x9000,
		"00A4090C024302":     0x6A82,
		"00A4080C0443014301": 0x6A82,
		"00A40804025015":     0x6A86,
		"00A4080C0150":       0x6700,
	} {
		h.expect("00A4080C025015", 0x9000)
		h.expect(apdu, want)
	}
	h.expect("00A4080C0450154301", 0x9000)
	h.expect("002E0000", 0x9000)
	h.expect("A0E40000", 0x6982)
	h.verify(1, "123456", 0x9000)
	h.expect("A0E40000", 0x9000)
	h.expect("00A4080C0450154301", 0x6A82)
	h.expect("00A40000023F00", 0x9000)
	h.expect("00E40000", 0x6986)
	for _, control := range []string{
		"6213 8002012C 820101 83024301 8603011FFF 8502",       // cut
		"620B 8002012C 820102 83024301",                       // records
		"620B 8002012C 820101 83023F00",                       // the MF
		"6208 820101 83024301 8A0100",                         // no size
		"621A 8002012C 820101 83024301 8603011FFF 8502000087", // more than a template
	} {
		fcp := unhex(t, control)
		h.command(insCreateFile, 0, 0, fcp, statusInvalidData)
	}
}

func TestMyEIDIsErasedWithThePINForIt(t *testing.T) {
	h := myEIDInUse(t)
	h.verify(1, "123456", 0x9000)
	h.expect(createMyEID, 0x9000)
	h.expect(initialiseMyEID, 0x6982)
	h.verify(3, "87654321", 0x9000)
	h.expect("00DA01E007 FFFF 113FFF 111F", 0x6700)
	h.expect(initialiseMyEID, 0x9000)
	h.expect("00A4080C0450154301", 0x6A82)
	equal(t, "PIN information", h.expect("00CA01B100", 0x9000), bytes.Repeat([]byte{0xFF}, 9))
	equal(t, "the access conditions of the MF", h.expect("00A4000002 3F00 00", 0x9000),
		unhex(t, "6F17 81020000 820138 83023F00 8603113FFF 85020000 8A0101"))
}

// keyFile makes a key file of a kind and a size in bits and selects it.
func (h *host) keyFile(id, kind byte, bits int) {
	h.t.Helper()
	h.expect("00A4080C025015", 0x9000)
	h.command(insCreateFile, 0, 0, []byte{
		0x62, 0x17, 0x81, 0x02, byte(bits >> 8), byte(bits), 0x82, 0x01, kind, 0x83, 0x02, 0x4B, id,
		0x86, 0x03, 0x11, 0x11, 0xFF, 0x85, 0x02, 0, 0, 0x8A, 0x01, 0,
	}, 0x9000)
}

func (h *host) load(part byte, value []byte, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsPutData, 0x01, part, value, want)
}

// operate sets the security environment and runs an operation with it.
func (h *host) operate(template, algorithm, file byte, p1p2 uint16, data []byte, want iso7816.Status) []byte {
	h.t.Helper()
	h.expect("00A4080C025015", 0x9000)
	h.command(iso7816.InsManageSecurity, 0x41, template, []byte{0x80, 1, algorithm, 0x81, 2, 0x4B, file, 0x84, 1, 0}, 0x9000)
	return h.query(iso7816.InsPerformSecurityOp, byte(p1p2>>8), byte(p1p2), data, want)
}

func TestMyEIDRSAKey(t *testing.T) {
	h := myEIDInUse(t)
	h.verify(1, "123456", 0x9000)
	key := testKey(t, 2048)
	h.keyFile(1, myEIDRSAKey, 2048)
	h.expect("00CA010100", 0x6A88)
	parts := map[byte][]byte{
		loadPrimeP: key.Primes[0].Bytes(), loadPrimeQ: key.Primes[1].Bytes(), loadExponentP: key.Precomputed.Dp.Bytes(),
		loadExponentQ: key.Precomputed.Dq.Bytes(), loadCoefficient: key.Precomputed.Qinv.Bytes(), loadModulus: key.N.Bytes(),
	}
	for part, value := range parts {
		h.load(part, append([]byte{0}, value...), 0x9000)
	}
	h.load(loadExponent, []byte{1, 0, 1}, 0x9000)
	h.load(loadExponent, []byte{1, 0, 1}, statusInvalidData) // there is a key
	equal(t, "the modulus", h.expect("00CA010100", 0x9000), key.N.Bytes())
	equal(t, "the exponent", h.expect("00CA010200", 0x9000), []byte{1, 0, 1})
	equal(t, "what the key is", h.expect("00CA010006", 0x9000), unhex(t, "920008000011"))

	hash := sha256.Sum256([]byte("message"))
	info := append(unhex(t, "3031300d060960864801650304020105000420"), hash[:]...)
	signature := h.operate(0xB6, myEIDPKCS1, 1, 0x9E9A, info, 0x9000)
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], signature); err != nil {
		t.Error(err)
	}
	raw := make([]byte, 256)
	raw[255] = 2
	equal(t, "2 to the power of d", h.operate(0xB6, myEIDRaw, 1, 0x9E9A, raw, 0x9000), new(big.Int).Exp(big.NewInt(2), key.D, key.N).FillBytes(raw))
	h.operate(0xB6, myEIDSHA1, 1, 0x9E9A, make([]byte, 20), 0x9000)
	h.operate(0xB6, myEIDSHA1, 1, 0x9E9A, hash[:], 0x6985)
	h.operate(0xB8, myEIDPKCS1, 1, 0x9E9A, info, 0x6985) // the template is for decryption

	//lint:ignore SA1019 what the card takes
	encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the plain text", h.operate(0xB8, myEIDPKCS1, 1, 0x8086, append([]byte{0}, encrypted...), 0x9000), []byte("secret"))
	encrypted[255] ^= 1
	h.operate(0xB8, myEIDPKCS1, 1, 0x8086, append([]byte{0}, encrypted...), 0x6985)

	h.expect("002E0000", 0x9000)
	h.operate(0xB6, myEIDPKCS1, 1, 0x9E9A, info, 0x6982)
}

func TestMyEIDRefusesPartsThatAreNoKey(t *testing.T) {
	h := myEIDInUse(t)
	h.verify(1, "123456", 0x9000)
	key := testKey(t, 2048)
	h.keyFile(1, myEIDRSAKey, 2048)
	for _, part := range []byte{loadPrimeP, loadPrimeQ, loadExponentP, loadExponentQ, loadCoefficient, loadModulus} {
		h.load(part, key.Primes[0].Bytes(), 0x9000)
	}
	h.load(loadExponent, []byte{1, 0, 1}, statusInvalidData)
	h.keyFile(2, myEIDECKey, 256)
	h.load(loadScalar, []byte{1}, 0x9000)
	h.load(loadPoint, bytes.Repeat([]byte{4}, 65), statusInvalidData)
	h.expect("00A4080C025015", 0x9000)
	h.load(loadPoint, []byte{4}, statusWrongStructure)
}

func TestMyEIDECKey(t *testing.T) {
	for bits, curve := range map[int]elliptic.Curve{256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()} {
		h := myEIDInUse(t)
		h.keyFileRefused(t)
		h.verify(1, "123456", 0x9000)
		h.keyFile(7, myEIDECKey, bits)
		h.expect("00460000", 0x9000)
		h.expect("00460000", statusInvalidData) // there is a key
		object, _, err := iso7816.ParseTLV(h.expect("00CA018600", 0x9000))
		if err != nil || object.Tag != 0x30 {
			t.Fatalf("the point is in %v, %v", object.Tag, err)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, object.Value)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256([]byte("message"))
		if !ecdsa.VerifyASN1(public, hash[:], h.operate(0xB6, myEIDEC, 7, 0x9E9A, hash[:], 0x9000)) {
			t.Errorf("%d: the signature is wrong", bits)
		}
		h.operate(0xB6, myEIDEC, 7, 0x9E9A, make([]byte, 67), 0x6700)
		h.agrees(t, public)
	}
}

func (h *host) keyFileRefused(t *testing.T) {
	t.Helper()
	h.expect("00E0000019 6217 81020100 820122 83024B01 86031111FF 85020000 8A0100", 0x6982)
}

// agrees derives a secret with the key in 4B07.
func (h *host) agrees(t *testing.T, public *ecdsa.PublicKey) {
	t.Helper()
	theirs, err := public.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	var own *ecdh.PrivateKey
	if own, err = theirs.Curve().GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	want, err := own.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	h.expect("00A4080C025015", 0x9000)
	h.expect("002241A40A 800104 81024B07 840100", 0x9000)
	template := iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x85, own.PublicKey().Bytes()))
	equal(t, "the shared secret", h.query(insAgree, 0, 0, template, 0x9000), want)
	h.command(insAgree, 0, 0, []byte{0x7C, 0}, statusInvalidData)
}

func TestMyEIDSecurityEnvironment(t *testing.T) {
	h := myEIDInUse(t)
	h.verify(1, "123456", 0x9000)
	h.keyFile(1, myEIDECKey, 256)
	for apdu, want := range map[string]iso7816.Status{
		"002241B60A 800104 81024B01 840100": 0x9000,
		"002241B607 800104 81024B01":        0x9000,
		"002281B60A 800104 81024B01 840100": 0x6A81,
		"002241B00A 800104 81024B01 840100": 0x6A81,
		"002241B60A 800199 81024B01 840100": 0x6A81,
		"002241B60A 800104 81024B01 840101": 0x6A81,
		"002241B60A 800104 81024B02 840100": 0x6A88,
		"002241B603 800104":                 0x6A81,
	} {
		h.expect(apdu, want)
	}
	h.expect("002241B60A 800104 81024B01 840100", 0x9000)
	h.expect("002A9E9A01AA00", 0x6985) // no key in the file
	h.expect("002A000001AA00", 0x6A86)
}

func TestMyEIDCountsATryBeforeItLooks(t *testing.T) {
	h := myEIDInUse(t, PowerLossAfterWrite(5))
	h.pulled("00200001 06 313131313131")
	h.reconnect()
	h.expect(selectMyEID, 0x9000)
	h.expect("00200001", 0x63C2)
}

func TestMyEIDStateOfNoCard(t *testing.T) {
	for name, spoil := range map[string]func(*myEIDState){
		"no files":            func(s *myEIDState) { s.MF = nil },
		"another MF":          func(s *myEIDState) { s.MF.ID = 1 },
		"an EF with children": func(s *myEIDState) { s.MF.Children[0].Kind, s.MF.Children[0].Children = 1, []*myEIDFile{{}} },
		"an EF without data":  func(s *myEIDState) { s.MF.Children[0].Kind, s.MF.Children[0].Size = 1, 1 },
		"no file":             func(s *myEIDState) { s.MF.Children[0] = nil },
		"no key":              func(s *myEIDState) { s.MF.Children[0].Key.PKCS8 = []byte{1} },
		"too many tries":      func(s *myEIDState) { s.PINs[3].PIN.Tries = 4 },
	} {
		a := newMyEID(environment{})
		if err := a.factory(); err != nil {
			t.Fatal(err)
		}
		spoil(&a.state)
		raw, err := json.Marshal(a.state)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.unmarshal(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzMyEID sends arbitrary APDUs to a card with a key and its PIN verified:
// each is a length byte and that many bytes. The card must answer, and still be
// a card afterwards.
func FuzzMyEID(f *testing.F) {
	for _, apdus := range []string{
		"\x08\x00\xa4\x08\x00\x02\x50\x15\x00\x05\x00\xb0\x00\x00\x00",
		"\x1e\x00\xe0\x00\x00\x19\x62\x17\x80\x02\x01\x2c\x82\x01\x01\x83\x02\x43\x01\x86\x03\x01\x1f\xff\x85\x02\x00\x00\x8a\x01\x00\x06\x00\xd6\x00\x00\x01\xaa",
		"\x04\xa0\xe4\x00\x00\x04\x00\xe4\x00\x00",
		"\x0f\x00\x22\x41\xb6\x0a\x80\x01\x04\x81\x02\x4b\x01\x84\x01\x00\x07\x00\x2a\x9e\x9a\x01\xaa\x00",
		"\x0d\x00\xda\x01\xe0\x08\xff\xff\x11\x3f\xff\x11\x1f\xff",
		"\x05\x00\xca\x01\xb1\x00\x05\x00\xca\x01\x86\x00\x04\x00\x46\x00\x00",
		"\x07\x00\xda\x01\x87\x02\x01\x02",
		"\x09\x00\x86\x00\x00\x04\x7c\x02\x85\x00",
	} {
		f.Add([]byte(apdus))
	}
	f.Fuzz(func(t *testing.T, apdus []byte) {
		h := myEIDInUse(t)
		h.verify(1, "123456", 0x9000)
		h.keyFile(1, myEIDECKey, 256)
		for len(apdus) > 0 {
			n := min(int(apdus[0]), len(apdus)-1)
			apdu := apdus[1 : 1+n]
			apdus = apdus[1+n:]
			if len(apdu) > 1 && apdu[1] == insGenerateKeyPair && h.card.apps[0].(*myEID).current.Kind == myEIDRSAKey {
				continue // too slow
			}
			if answer, err := h.conn.Transmit(context.Background(), apdu); err != nil || len(answer) < 2 {
				t.Fatalf("%X: answer %X, %v", apdu, answer, err)
			}
		}
		if err := h.card.load(); err != nil {
			t.Fatalf("the card does not wake up again: %v", err)
		}
	})
}
