package cardsim

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const selectPIV = "00A4040009A00000030800001000" + "00"

// pivProfiles are the four kinds of cards.
func pivProfiles() []string {
	return []string{"piv-nist", "piv-yubikey-4", "piv-yubikey-5", "piv-yubikey-5.7"}
}

func pivCard(t *testing.T, profile string) *host {
	t.Helper()
	card, err := NewCard(Options{Profile: profile, Serial: "00BC614E", Applications: []string{pivName}})
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.expect(selectPIV, 0x9000)
	return h
}

const (
	pinFactory = "313233343536FFFF"
	pukFactory = "3132333435363738"
	pinOther   = "363534333231FFFF"
)

// prove is the management key of the factory in the single form.
func (h *host) manage() {
	h.t.Helper()
	key := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
	block, err := des.NewTripleDESCipher(key)
	algorithm := byte(0x03)
	if h.card.profile.piv.since(5, 7) {
		block, err = aes.NewCipher(key)
		algorithm = 0x0A
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.manageBy(algorithm, block, 0x9000)
}

func (h *host) manageBy(algorithm byte, block cipher.Block, want iso7816.Status) {
	h.t.Helper()
	answer := h.query(0x87, algorithm, 0x9B, unhex(h.t, "7C028100"), 0x9000)
	challenge, ok := iso7816.FindTLV(answer, 0x7C, 0x81)
	if !ok || len(challenge) != block.BlockSize() {
		h.t.Fatalf("challenge %X", answer)
	}
	response := make([]byte, block.BlockSize())
	block.Encrypt(response, challenge)
	h.command(0x87, algorithm, 0x9B, iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x82, response)), want)
}

// generated makes a P-256 key in a slot.
func (h *host) generated(slot byte) *ecdsa.PublicKey {
	h.t.Helper()
	answer := h.query(0x47, 0, slot, unhex(h.t, "AC03800111"), 0x9000)
	point, _ := iso7816.FindTLV(answer, 0x7F49, 0x86)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		h.t.Fatal(err)
	}
	return public
}

func signRequest(digest []byte) []byte {
	return iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x82), iso7816.AppendTLV(nil, 0x81, digest))
}

func TestPIVSelect(t *testing.T) {
	equal(t, "answer of the standard", pivCard(t, "piv-nist").expect(selectPIV, 0x9000),
		unhex(t, "6116 4F06000010000100 7907 4F05A000000308 5003504956"))
	h := pivCard(t, "piv-yubikey-5")
	equal(t, "answer of a YubiKey", h.expect(selectPIV, 0x9000), unhex(t, "6111 4F06000010000100 7907 4F05A000000308"))
	equal(t, "version", h.expect("00FD000000", 0x9000), []byte{5, 4, 3})
	equal(t, "serial", h.expect("00F8000000", 0x9000), unhex(t, "00BC614E"))
	old := pivCard(t, "piv-yubikey-4")
	old.expect("00F8000000", 0x6D00)
	old.expect("00F7008000", 0x6D00)
	for _, ins := range []string{"F6", "F7", "F8", "F9", "FA", "FB", "FD", "FE", "FF"} {
		pivCard(t, "piv-nist").expect("00"+ins+"000000", 0x6D00)
	}
}

func TestPIVPINs(t *testing.T) {
	for _, profile := range pivProfiles() {
		t.Run(profile, func(t *testing.T) {
			h := pivCard(t, profile)
			h.expect("00200080", 0x63C3)
			h.expect("0020008008"+pinOther, 0x63C2)
			h.expect("0020008006313233343536", 0x6A80) // without padding
			if profile == "piv-nist" {
				h.expect("0020008008FFFFFFFFFFFFFFFF", 0x6A80)
				h.expect("00200080", 0x63C2) // what has no form of a PIN is not counted
			} else {
				h.expect("0020008008FFFFFFFFFFFFFFFF", 0x63C1)
				h.expect("002C008010FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", 0x63C2)
				h.expect("002C008010"+pukFactory+"FFFFFFFFFFFFFFFF", 0x6A80)
			}
			h.expect("0020008108"+pukFactory, 0x6A88)
			h.expect("0020008008"+pinFactory, 0x9000)
			h.expect("00200080", 0x9000)
			h.powerCycle()
			h.expect(selectPIV, 0x9000)
			h.expect("00200080", 0x63C3)

			h.expect("0024008010"+pinFactory+"31323334FFFFFFFF", 0x6A80) // too short
			h.expect("0024008010"+pinFactory+pinOther, 0x9000)
			for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0, 0x6983} {
				h.expect("0020008008"+pinFactory, want)
			}
			h.expect("0020008008"+pinOther, 0x6983)
			h.expect("002C008010"+"3838383838383838"+pinFactory, 0x63C2)
			h.expect("002C008010"+pukFactory+pinFactory, 0x9000)
			h.expect("0020008008"+pinFactory, 0x9000)
			h.expect("0024008110"+pukFactory+"3837363534333231", 0x9000)
			h.expect("002C008010"+pukFactory+pinFactory, 0x63C2)
		})
	}
	nist := pivCard(t, "piv-nist")
	nist.expect("0020008008"+"616263646566FFFF", 0x6A80) // letters
	nist.expect("0024008110"+pukFactory+"313233343536FFFF", 0x9000)
	nist.expect("0020008008"+pinFactory, 0x9000)
	nist.expect("0020FF80", 0x9000)
	nist.expect("00200080", 0x63C3)
	pivCard(t, "piv-yubikey-5").expect("0020008008"+"616263646566FFFF", 0x63C2)
}

func TestPIVObjects(t *testing.T) {
	for _, profile := range pivProfiles() {
		t.Run(profile, func(t *testing.T) {
			h := pivCard(t, profile)
			absent, nothing := iso7816.Status(0x6A82), []byte(nil)
			if profile == "piv-nist" {
				absent, nothing = 0x9000, []byte{0x53, 0x00}
			}
			equal(t, "absent", h.expect("00CB3FFF055C035FC10500", absent), nothing)
			equal(t, "discovery", h.expect("00CB3FFF035C017E00", 0x9000), unhex(t, "7E124F0BA0000003080000100001005F2F024000"))
			h.expect("00CB3FFF055C035FC10900", 0x6982)
			content := bytes.Repeat([]byte{0xA5}, 600)
			object := append(unhex(t, "5C035FC105"), iso7816.AppendTLV(nil, 0x53, content)...)
			h.chained(0xDB, 0x3F, 0xFF, object, 0x6982)
			h.manage()
			h.chained(0xDB, 0x3F, 0xFF, object, 0x9000)
			h.chained(0xDB, 0x3F, 0xFF, append(unhex(t, "5C035FC107"), iso7816.AppendTLV(nil, 0x53, make([]byte, 3053))...), 0x6A84)
			h.powerCycle()
			h.expect(selectPIV, 0x9000)
			equal(t, "object", h.query(0xCB, 0x3F, 0xFF, unhex(t, "5C035FC105"), 0x9000), iso7816.AppendTLV(nil, 0x53, content))
			h.manage()
			h.expect("00DB3FFF075C035FC1055300", 0x9000)
			equal(t, "deleted", h.expect("00CB3FFF055C035FC10500", absent), nothing)
		})
	}
}

// chained sends a command in blocks of 200 bytes.
func (h *host) chained(ins, p1, p2 byte, data []byte, want iso7816.Status) {
	h.t.Helper()
	for len(data) > 200 {
		if _, status := h.send(append([]byte{0x10, ins, p1, p2, 200}, data[:200]...)); status != 0x9000 {
			h.t.Fatalf("block: %v", status)
		}
		data = data[200:]
	}
	if _, status := h.send(append([]byte{0x00, ins, p1, p2, byte(len(data))}, data...)); status != want {
		h.t.Fatalf("INS %02X: answered %v, want %v", ins, status, want)
	}
}

func TestPIVManagementKey(t *testing.T) {
	for _, profile := range pivProfiles() {
		t.Run(profile, func(t *testing.T) {
			h := pivCard(t, profile)
			generate := unhex(t, "AC03800111")
			h.command(0x47, 0, 0x9A, generate, 0x6982)
			h.manage()
			h.query(0x47, 0, 0x9A, generate, 0x9000)

			wrong, _ := des.NewTripleDESCipher(bytes.Repeat([]byte{8}, 24))
			algorithm := byte(0x03)
			if profile == "piv-yubikey-5.7" {
				wrong, _ = aes.NewCipher(bytes.Repeat([]byte{8}, 24))
				algorithm = 0x0A
			}
			h.manageBy(algorithm, wrong, 0x6982)
			h.command(0x47, 0, 0x9A, generate, 0x6982)                // what was proved is gone
			h.command(0x87, 0x0C, 0x9B, unhex(t, "7C028100"), 0x6A86) // not the algorithm of the key
			h.manageMutually(algorithm)
			h.query(0x47, 0, 0x9A, generate, 0x9000)
		})
	}
}

// manageMutually has both prove that they have the key of the factory.
func (h *host) manageMutually(algorithm byte) {
	h.t.Helper()
	key := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
	block, _ := des.NewTripleDESCipher(key)
	if algorithm != 0x03 {
		block, _ = aes.NewCipher(key)
	}
	size := block.BlockSize()
	answer := h.query(0x87, algorithm, 0x9B, unhex(h.t, "7C028000"), 0x9000)
	witness, _ := iso7816.FindTLV(answer, 0x7C, 0x80)
	plain, challenge, want := make([]byte, size), bytes.Repeat([]byte{0x5A}, size), make([]byte, size)
	block.Decrypt(plain, witness)
	block.Encrypt(want, challenge)
	proof := iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x80, plain), iso7816.AppendTLV(nil, 0x81, challenge))
	answer = h.query(0x87, algorithm, 0x9B, proof, 0x9000)
	response, _ := iso7816.FindTLV(answer, 0x7C, 0x82)
	equal(h.t, "the card's proof", response, want)
	h.command(0x87, algorithm, 0x9B, proof, 0x6982) // a witness is good for one time
	h.query(0x87, algorithm, 0x9B, unhex(h.t, "7C028000"), 0x9000)
	h.command(0x87, algorithm, 0x9B, iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x80, make([]byte, size)), iso7816.AppendTLV(nil, 0x81, challenge)), 0x6982)
	h.manage()
}

func TestPIVSigns(t *testing.T) {
	digest := sha256.Sum256([]byte("from the desk"))
	for _, profile := range pivProfiles() {
		t.Run(profile, func(t *testing.T) {
			h := pivCard(t, profile)
			h.manage()
			keys := map[byte]*ecdsa.PublicKey{0x9A: h.generated(0x9A), 0x9C: h.generated(0x9C), 0x9E: h.generated(0x9E)}
			sign := func(slot byte, want iso7816.Status) {
				t.Helper()
				answer := h.query(0x87, 0x11, slot, signRequest(digest[:]), want)
				if want != 0x9000 {
					return
				}
				signature, _ := iso7816.FindTLV(answer, 0x7C, 0x82)
				if !ecdsa.VerifyASN1(keys[slot], digest[:], signature) {
					t.Errorf("slot %02X: signature %X", slot, signature)
				}
			}
			sign(0x9E, 0x9000)
			sign(0x9A, 0x6982)
			h.expect("0020008008"+pinFactory, 0x9000)
			sign(0x9C, 0x9000)
			sign(0x9C, 0x6982) // the PIN for each signature
			sign(0x9A, 0x9000)
			sign(0x9A, 0x9000)
			short := iso7816.Status(0x6A80) // a digest
			if profile != "piv-nist" {
				short = 0x9000
			}
			h.query(0x87, 0x11, 0x9A, signRequest(digest[:20]), short)
			h.query(0x87, 0x11, 0x9A, signRequest(append(digest[:], 0)), 0x6A80)
			h.query(0x87, 0x14, 0x9A, signRequest(digest[:]), 0x6A86)
			h.query(0x87, 0x11, 0x9D, signRequest(digest[:]), 0x6A86) // no key
			h.powerCycle()
			h.expect(selectPIV, 0x9000)
			empty := iso7816.Status(0x6A86)
			if profile == "piv-nist" {
				empty = 0x6982 // whether there is a key is not told
			}
			h.query(0x87, 0x11, 0x9D, signRequest(digest[:]), empty)
		})
	}
}

func TestPIVAgrees(t *testing.T) {
	h := pivCard(t, "piv-yubikey-5.7")
	h.manage()
	public := h.generated(0x9D)
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ours, _ := own.ECDH()
	theirs, _ := public.ECDH()
	want, err := ours.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	request := iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x82), iso7816.AppendTLV(nil, 0x85, ours.PublicKey().Bytes()))
	h.expect("0020008008"+pinFactory, 0x9000)
	answer := h.query(0x87, 0x11, 0x9D, request, 0x9000)
	shared, _ := iso7816.FindTLV(answer, 0x7C, 0x82)
	equal(t, "shared secret", shared, want)
}

func TestPIVImports(t *testing.T) {
	h := pivCard(t, "piv-yubikey-5")
	key := testKey(t, 2048)
	var data []byte
	for i, n := range [][]byte{
		fixed(key.Primes[0], 128), fixed(key.Primes[1], 128),
		fixed(key.Precomputed.Dp, 128), fixed(key.Precomputed.Dq, 128), fixed(key.Precomputed.Qinv, 128),
	} {
		data = iso7816.AppendTLV(data, iso7816.Tag(i+1), n)
	}
	h.chained(0xFE, 0x07, 0x9A, data, 0x6982)
	h.manage()
	damaged := bytes.Clone(data)
	damaged[len(damaged)-1] ^= 1
	h.chained(0xFE, 0x07, 0x9A, damaged, 0x6A80)
	h.chained(0xFE, 0x07, 0x9A, data, 0x9000)
	h.expect("00F7009A00", 0x6117) // 279 bytes with the public key, in two parts
	metadata := h.query(0xF7, 0, 0x9A, nil, 0x9000)
	modulus, _ := iso7816.FindTLV(metadata, 0x04, 0x81)
	equal(t, "modulus", modulus, key.N.Bytes())
	origin, _ := iso7816.FindTLV(metadata, 0x03)
	equal(t, "origin", origin, []byte{2})
	h.expect("00F99A0000", 0x6A80) // a key that came from outside is not attested
}

func TestPIVAttests(t *testing.T) {
	for profile, authorities := range map[string]int{
		"piv-yubikey-4": 1, "piv-yubikey-5": 1, "piv-yubikey-5.2": 1, "piv-yubikey-5.7": 2, "piv-attestation-odd": 1,
	} {
		h := pivCard(t, profile)
		h.manage()
		public := h.generated(0x9A)
		chain := []*x509.Certificate{readCertificate(t, h.query(0xF9, 0x9A, 0, nil, 0x9000))}
		object := h.query(0xCB, 0x3F, 0xFF, unhex(t, "5C035FFF01"), 0x9000)
		der, _ := iso7816.FindTLV(object, 0x53, 0x70)
		chain = append(chain, readCertificate(t, der))
		ca := h.card.AttestationCA()
		if len(ca) != authorities {
			t.Fatalf("%s: %d certificates of the maker", profile, len(ca))
		}
		for _, der := range slices.Backward(ca) {
			chain = append(chain, readCertificate(t, der))
		}
		for i, c := range append(chain[1:], chain[len(chain)-1]) {
			if err := c.CheckSignature(chain[i].SignatureAlgorithm, chain[i].RawTBSCertificate, chain[i].Signature); err != nil {
				t.Errorf("%s, certificate %d: %v", profile, i, err)
			}
		}
		if !public.Equal(chain[0].PublicKey) || chain[1].BasicConstraintsValid == (profile == "piv-yubikey-5.2") {
			t.Errorf("%s: %+v", profile, chain[1])
		}
		h.expect("00F99C0000", 0x6A88)
	}
	wrapped := map[string]string{"piv-yubikey-5": "050403", "piv-attestation-odd": "0403050403"}
	for profile, want := range wrapped {
		h := pivCard(t, profile)
		h.manage()
		h.generated(0x9A)
		for _, x := range readCertificate(t, h.query(0xF9, 0x9A, 0, nil, 0x9000)).Extensions {
			if x.Id.String() == "1.3.6.1.4.1.41482.3.3" {
				equal(t, "firmware", x.Value, unhex(t, want))
			}
		}
	}
}

func readCertificate(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPIVRetriesAndReset(t *testing.T) {
	h := pivCard(t, "piv-yubikey-5")
	h.expect("00FB0000", 0x6985)
	h.manage()
	h.expect("00FA0504", 0x6982)
	h.expect("0020008008"+pinFactory, 0x9000)
	h.expect("00FA0504", 0x9000)
	equal(t, "PIN", h.expect("00F7008000", 0x9000), unhex(t, "0101FF 050101 06020505"))
	equal(t, "PUK", h.expect("00F7008100", 0x9000), unhex(t, "0101FF 050101 06020404"))
	h.generated(0x9A)
	for range 5 {
		h.send(unhex(t, "0020008008"+pinOther))
	}
	h.expect("00FB0000", 0x6985)
	for range 4 {
		h.send(unhex(t, "002C008010"+pinOther+pinOther))
	}
	h.expect("00FB0000", 0x9000)
	h.expect("00F7009A00", 0x6A88)
	equal(t, "PIN", h.expect("00F7008000", 0x9000), unhex(t, "0101FF 050101 06020303"))
	h.expect("00F700F900", 0x9000) // no reset takes the attestation key away
}

func TestPIVSetsManagementKey(t *testing.T) {
	h := pivCard(t, "piv-yubikey-5")
	h.manage()
	key := bytes.Repeat([]byte{0xC1, 0x22}, 16)
	h.command(0xFF, 0xFF, 0xFF, append([]byte{0x0C, 0x9B, 31}, key[:31]...), 0x6A80)
	h.command(0xFF, 0xFF, 0xFF, append([]byte{0x03, 0x9B, 24}, bytes.Repeat([]byte{7}, 24)...), 0x6A80) // a weak key
	h.command(0xFF, 0xFF, 0xFE, append([]byte{0x0C, 0x9B, 32}, key...), 0x9000)
	equal(t, "metadata", h.expect("00F7009B00", 0x9000), unhex(t, "01010C 02020002 050100"))
	h.powerCycle()
	h.expect(selectPIV, 0x9000)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	h.manageBy(0x0C, block, 0x9000)
	old := pivCard(t, "piv-yubikey-4")
	old.manage()
	old.command(0xFF, 0xFF, 0xFF, append([]byte{0x0C, 0x9B, 32}, key...), 0x6A80)
}

func TestPIVMovesKeys(t *testing.T) {
	h := pivCard(t, "piv-yubikey-5.7")
	h.expect("00F6829A", 0x6982)
	h.manage()
	h.expect("00F6829A", 0x6A88)
	h.generated(0x9A)
	h.generated(0x83)
	h.expect("00F6839A", 0x6985) // a key is there
	h.expect("00F6829A", 0x9000)
	h.expect("00F7009A00", 0x6A88)
	h.expect("00F7008200", 0x9000)
	h.expect("00F6FF82", 0x9000)
	h.expect("00F7008200", 0x6A88)
	old := pivCard(t, "piv-yubikey-5")
	old.manage()
	old.expect("00F6829A", 0x6D00)
}

func TestPIVQuirks(t *testing.T) {
	h := pivCard(t, "piv-metadata-type-only")
	equal(t, "management key", h.expect("00F7009B00", 0x9000), unhex(t, "010103"))
	h.manage()
	h.generated(0x9A)
	origin, _ := iso7816.FindTLV(h.query(0xF7, 0, 0x9A, nil, 0x9000), 0x03)
	equal(t, "origin", origin, []byte{2})
	pivCard(t, "piv-empty-slot-6a86").expect("00F7009A00", 0x6A86)
	pivCard(t, "piv-short-apdus").expect("00F70080000000", 0x6700)
}

// FuzzPIV sends arbitrary APDUs to a card on which everything is verified.
func FuzzPIV(f *testing.F) {
	f.Add(byte(2), []byte("\x0e\x00\xa4\x04\x00\x09\xa0\x00\x00\x03\x08\x00\x00\x10\x00\x0b\x00\xcb\x3f\xff\x05\x5c\x03\x5f\xc1\x05\x00"))
	f.Add(byte(3), []byte("\x0b\x00\xdb\x3f\xff\x07\x5c\x03\x5f\xc1\x05\x53\x00\x09\x00\x87\x03\x9b\x04\x7c\x02\x81\x00"))
	f.Add(byte(3), []byte("\x0a\x00\x47\x00\x9a\x05\xac\x03\x80\x01\x11\x05\x00\xf7\x00\x9a\x00\x04\x00\xf6\x82\x9a"))
	profiles := pivProfiles()
	f.Fuzz(func(t *testing.T, profile byte, apdus []byte) {
		card, err := NewCard(Options{Profile: profiles[int(profile)%len(profiles)], Applications: []string{pivName}})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := card.Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Transmit(context.Background(), unhex(t, selectPIV)); err != nil {
			t.Fatal(err)
		}
		application := card.apps[0].(*piv)
		for len(apdus) > 0 {
			application.managed, application.pinVerified = true, true
			n := min(int(apdus[0]), len(apdus)-1)
			apdu := apdus[1 : 1+n]
			apdus = apdus[1+n:]
			if len(apdu) > 2 && apdu[1] == iso7816.InsGenerateKeyPair && !bytes.Contains(apdu, []byte{0x80, 0x01, 0x11}) {
				continue // too slow
			}
			answer, err := conn.Transmit(context.Background(), apdu)
			if err != nil || len(answer) < 2 {
				t.Fatalf("%X: answer %X, %v", apdu, answer, err)
			}
		}
		if err := conn.Close(true); err != nil {
			t.Fatal(err)
		}
		if err := card.load(); err != nil {
			t.Fatalf("the card does not wake up again: %v", err)
		}
	})
}
