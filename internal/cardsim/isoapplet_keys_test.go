package cardsim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const (
	useMaking      = 0x00
	useSignature   = 0xB6
	useDeciphering = 0xB8
)

func (h *host) environment(use, algorithm, key byte, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsManageSecurity, 0x41, use, []byte{0x80, 1, algorithm, 0x84, 1, key}, want)
}

// curveParameters are the domain parameters as a host sends them, with some of
// them replaced, or left out where they are nil.
func curveParameters(c elliptic.Curve, changed map[iso7816.Tag][]byte) []byte {
	size := (c.Params().BitSize + 7) / 8
	value := domainCurve{curve: c, bytes: size}.parameters()
	for tag, other := range changed {
		value[tag] = other
	}
	var data []byte
	for _, tag := range []iso7816.Tag{ecPrime, ecA, ecB, ecGenerator, ecOrder, ecCofactor, ecPrivate} {
		if value[tag] != nil {
			data = iso7816.AppendTLV(data, tag, value[tag])
		}
	}
	return data
}

func (h *host) makeEC(key byte, c elliptic.Curve) *ecdsa.PublicKey {
	h.t.Helper()
	h.environment(useMaking, algorithmGenerateEC, key, 0x9000)
	answer := h.query(insGenerateKeyPair, 0, 0, curveParameters(c, nil), 0x9000)
	encoded, ok := iso7816.FindTLV(answer, 0x7F49, ecPoint)
	if !ok {
		h.t.Fatalf("no point in %X", answer)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(c, encoded)
	if err != nil {
		h.t.Fatal(err)
	}
	return public
}

func TestIsoAppletEC(t *testing.T) {
	message := bytes.Repeat([]byte("a long message; "), 40)
	hash := sha1.Sum(message)
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		t.Run(c.Params().Name, func(t *testing.T) {
			h := verified(t, "")
			public := h.makeEC(15, c)
			h.powerCycle()
			h.expect(selectIsoApplet, 0x9000)
			h.verify(0x01, testPIN, 0x9000)
			h.environment(useSignature, algorithmECDSASHA1, 15, 0x9000)
			signature := h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, message, 0x9000)
			if !ecdsa.VerifyASN1(public, hash[:], signature) {
				t.Fatalf("signature %X does not verify", signature)
			}
			h.query(iso7816.InsPerformSecurityOp, 0x80, 0x86, message, 0x6985)
			h.environment(useSignature, algorithmRSAPKCS1, 15, 0x6984)
			h.environment(useDeciphering, algorithmECDSASHA1, 15, 0x6A81)
		})
	}
}

// TestIsoAppletPublicKey: the host compares the domain parameters with what it
// sent.
func TestIsoAppletPublicKey(t *testing.T) {
	h := verified(t, "")
	sent := curveParameters(elliptic.P384(), nil)
	h.environment(useMaking, algorithmGenerateEC, 0, 0x9000)
	answer := h.query(insGenerateKeyPair, 0, 0, sent, 0x9000)
	for _, tag := range []iso7816.Tag{ecPrime, ecA, ecB, ecGenerator, ecOrder, ecCofactor} {
		want, _ := iso7816.FindTLV(sent, tag)
		got, _ := iso7816.FindTLV(answer, 0x7F49, tag)
		equal(t, "domain parameter", got, want)
	}
}

func TestIsoAppletShortCommands(t *testing.T) {
	h := verified(t, "extended-length-unannounced")
	h.environment(useMaking, algorithmGenerateEC, 0, 0x9000)
	parameters := curveParameters(elliptic.P384(), nil)
	h.expect(fmt.Sprintf("10460000FF%X", parameters[:255]), 0x9000)
	rest := parameters[255:]
	first := h.expect(fmt.Sprintf("00460000%02X%X00", len(rest), rest), 0x6197)
	answer := append(first, h.expect("00C0000097", 0x9000)...)
	if object, left, err := iso7816.ParseTLV(answer); err != nil || len(left) != 0 || object.Tag != 0x7F49 {
		t.Fatalf("%X", answer)
	}
}

func TestIsoAppletRSA(t *testing.T) {
	h := verified(t, "")
	h.environment(useMaking, algorithmGenerateRSA, 3, 0x9000)
	h.expect("0046000000", 0x6A86)
	answer := h.query(insGenerateKeyPair, 0x42, 0, nil, 0x9000)
	modulus, _ := iso7816.FindTLV(answer, 0x7F49, 0x81)
	exponent, _ := iso7816.FindTLV(answer, 0x7F49, 0x82)
	equal(t, "exponent", exponent, []byte{1, 0, 1})
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	if public.N.BitLen() != 2048 {
		t.Fatalf("%d bits", public.N.BitLen())
	}
	checkIsoAppletRSA(t, h, 3, public)
}

// checkIsoAppletRSA signs and deciphers.
func checkIsoAppletRSA(t *testing.T, h *host, key byte, public *rsa.PublicKey) {
	t.Helper()
	hash := sha256.Sum256([]byte("message"))
	info := append(unhex(t, digestInfoSHA256), hash[:]...)
	h.environment(useSignature, algorithmRSAPKCS1, key, 0x9000)
	signature := h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, info, 0x9000)
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], signature); err != nil {
		t.Fatal(err)
	}
	h.commandNe(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, info, 255, 0x6C00)
	h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, make([]byte, 246), 0x6700)
	h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, nil, 0x6700)
	h.query(iso7816.InsPerformSecurityOp, 0x86, 0x80, info, 0x6A86)

	//lint:ignore SA1019 the applet knows no other padding
	cryptogram, err := rsa.EncryptPKCS1v15(rand.Reader, public, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	h.environment(useDeciphering, algorithmRSAPKCS1, key, 0x9000)
	decipher := func(data []byte, want iso7816.Status) []byte {
		t.Helper()
		return h.query(iso7816.InsPerformSecurityOp, 0x80, 0x86, data, want)
	}
	equal(t, "plain text", decipher(append([]byte{0}, cryptogram...), 0x9000), []byte("plain"))
	decipher(append([]byte{1}, cryptogram...), 0x6A80)
	decipher(append([]byte{0}, cryptogram[1:]...), 0x6700)
	decipher(nil, 0x6700)
	decipher(append([]byte{0}, bytes.Repeat([]byte{1}, 256)...), 0x6A80)

	h.expect("10 2A8086 01 00", 0x9000)
	chained := append([]byte{0x10, 0x2A, 0x80, 0x86, 0xFE}, cryptogram[:254]...)
	if _, status := h.send(chained); status != iso7816.StatusOK {
		t.Fatal(status)
	}
	equal(t, "chained", h.expect(fmt.Sprintf("00 2A8086 02 %X 00", cryptogram[254:]), 0x9000), []byte("plain"))
}

// crtParts is PUT DATA of an RSA key, with some of its parts replaced, or left
// out where they are nil.
func crtParts(key *rsa.PrivateKey, changed map[iso7816.Tag][]byte) []byte {
	value := map[iso7816.Tag][]byte{
		partP:           key.Primes[0].Bytes(),
		partQ:           key.Primes[1].Bytes(),
		partCoefficient: key.Precomputed.Qinv.Bytes(),
		partDP:          key.Precomputed.Dp.Bytes(),
		partDQ:          key.Precomputed.Dq.Bytes(),
	}
	for tag, other := range changed {
		value[tag] = other
	}
	var parts []byte
	for tag := partP; tag <= partDQ; tag++ {
		if value[tag] != nil {
			parts = iso7816.AppendTLV(parts, tag, value[tag])
		}
	}
	return iso7816.AppendTLV(nil, 0x7F48, parts)
}

func TestIsoAppletImportRSA(t *testing.T) {
	key := testKey(t, 2048)
	h := verified(t, "")
	h.environment(useMaking, algorithmGenerateRSA, 7, 0x9000)
	h.command(iso7816.InsPutDataOdd, 0x3F, 0xFF, crtParts(key, nil), 0x9000)
	checkIsoAppletRSA(t, h, 7, &key.PublicKey)
}

func TestIsoAppletImportEC(t *testing.T) {
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		scalar := []byte{1, 2, 3} // leading zeros are missing
		full := append(make([]byte, (c.Params().BitSize+7)/8-3), scalar...)
		key, err := ecdsa.ParseRawPrivateKey(c, full)
		if err != nil {
			t.Fatal(err)
		}
		h := verified(t, "")
		h.environment(useMaking, algorithmGenerateEC, 1, 0x9000)
		template := iso7816.AppendTLV(nil, 0xE0, curveParameters(c, map[iso7816.Tag][]byte{ecPrivate: scalar, ecCofactor: {1}}))
		h.command(iso7816.InsPutDataOdd, 0x3F, 0xFF, template, 0x9000)
		h.environment(useSignature, algorithmECDSASHA1, 1, 0x9000)
		hash := sha1.Sum([]byte("message"))
		signature := h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, []byte("message"), 0x9000)
		if !ecdsa.VerifyASN1(&key.PublicKey, hash[:], signature) {
			t.Fatalf("%s: signature %X does not verify", c.Params().Name, signature)
		}
	}
}

func TestIsoAppletImportRefusals(t *testing.T) {
	key, small := testKey(t, 2048), big.NewInt(3).Bytes()
	ec := func(changed map[iso7816.Tag][]byte) []byte {
		return iso7816.AppendTLV(nil, 0xE0, curveParameters(elliptic.P256(), changed))
	}
	p256 := elliptic.P256().Params()
	for _, test := range []struct {
		name      string
		algorithm byte
		data      []byte
		want      iso7816.Status
	}{
		{"nothing", algorithmGenerateRSA, nil, 0x6984},
		{"EC template for RSA", algorithmGenerateRSA, ec(map[iso7816.Tag][]byte{ecPrivate: small}), 0x6A80},
		{"RSA template for EC", algorithmGenerateEC, crtParts(key, nil), 0x6A80},
		{"cut", algorithmGenerateRSA, crtParts(key, nil)[:300], 0x6984},
		{"no q", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partQ: nil}), 0x6984},
		{"another q", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partQ: key.Primes[0].Bytes()}), 0x6984},
		{"p is 1", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partP: {1}}), 0x6984},
		{"p is 2", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partP: {2}}), 0x6984},
		{"q is 0", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partQ: {0}}), 0x6984},
		{"another coefficient", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partCoefficient: small}), 0x6984},
		{"another dp", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partDP: small}), 0x6984},
		{"another dq", algorithmGenerateRSA, crtParts(key, map[iso7816.Tag][]byte{partDQ: small}), 0x6984},
		{"no private number", algorithmGenerateEC, ec(nil), 0x6984},
		{"private number 0", algorithmGenerateEC, ec(map[iso7816.Tag][]byte{ecPrivate: {0}}), 0x6984},
		{"private number beyond the order", algorithmGenerateEC, ec(map[iso7816.Tag][]byte{ecPrivate: p256.N.Bytes()}), 0x6984},
		{"long private number", algorithmGenerateEC, ec(map[iso7816.Tag][]byte{ecPrivate: make([]byte, 33)}), 0x6984},
		{"no order", algorithmGenerateEC, ec(map[iso7816.Tag][]byte{ecOrder: nil, ecPrivate: small}), 0x6984},
		{"another curve", algorithmGenerateEC, ec(map[iso7816.Tag][]byte{ecB: p256.Gx.Bytes(), ecPrivate: small}), 0x6A81},
		{"longer than the buffer", algorithmGenerateRSA, make([]byte, 661), 0x6700},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := verified(t, "")
			h.environment(useMaking, test.algorithm, 0, 0x9000)
			h.command(iso7816.InsPutDataOdd, 0x3F, 0xFF, test.data, test.want)
			h.environment(useSignature, algorithmRSAPKCS1, 0, 0x6A88) // nothing was stored
		})
	}
	h := verified(t, "")
	h.command(iso7816.InsPutDataOdd, 0x3F, 0xFF, crtParts(key, nil), 0x6985) // no environment
	h.command(iso7816.InsPutDataOdd, 0x3F, 0xFE, crtParts(key, nil), 0x6A86)
}

func TestIsoAppletGenerateRefusals(t *testing.T) {
	p256 := func(changed map[iso7816.Tag][]byte) []byte { return curveParameters(elliptic.P256(), changed) }
	for _, test := range []struct {
		name string
		data []byte
		want iso7816.Status
	}{
		{"nothing", nil, 0x6984},
		{"no TLV", []byte{0x81, 0x20, 0x01}, 0x6984},
		{"no cofactor", p256(map[iso7816.Tag][]byte{ecCofactor: nil}), 0x6984},
		{"cofactor 2", p256(map[iso7816.Tag][]byte{ecCofactor: {2}}), 0x6A81},
		{"P-521", curveParameters(elliptic.P521(), nil), 0x6A81},
		{"longer than the buffer", make([]byte, 661), 0x6700},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := verified(t, "")
			h.environment(useMaking, algorithmGenerateEC, 0, 0x9000)
			h.command(insGenerateKeyPair, 0, 0, test.data, test.want)
		})
	}
	verified(t, "").command(insGenerateKeyPair, 0x42, 0, nil, 0x6985)
}

func TestIsoAppletKeysAskForThePIN(t *testing.T) {
	for _, apdu := range []string{"0022410006 8001F3 840100", "0046420000", "00DB3FFF017F", "002A9E9A0100"} {
		operational(t, "").expect(apdu, 0x6982)
		blankApplet(t, "").expect(apdu, 0x6982)
	}
}

func TestIsoAppletWithoutImport(t *testing.T) {
	verified(t, "").expect("00DB3FFF", 0x6985)
	verified(t, "isoapplet-no-import").expect("00DB3FFF", 0x6900)
}

func TestIsoAppletSecurityEnvironment(t *testing.T) {
	for _, test := range []struct {
		name, apdu string
		want       iso7816.Status
	}{
		{"RSA", "0022410006 8001F3 840100", 0x9000},
		{"EC", "0022410006 8001EC 84010F", 0x9000},
		{"key 16", "0022410006 8001EC 840110", 0x6984},
		{"no key", "0022410003 8001EC", 0x6984},
		{"no algorithm", "0022410003 840100", 0x6984},
		{"long key reference", "0022410007 8001EC 84020000", 0x6984},
		{"unknown algorithm", "0022410006 8001F4 840100", 0x6A81},
		{"signature with the algorithm of making", "002241B606 8001F3 840100", 0x6A81},
		{"no such key", "002241B606 800111 840100", 0x6A88},
		{"no such key, ECDSA", "002241B606 800121 840100", 0x6A88},
		{"authentication", "002241A406 800111 840100", 0x6A81},
		{"RESTORE", "0022F300", 0x6A81},
	} {
		t.Run(test.name, func(t *testing.T) { verified(t, "").expect(test.apdu, test.want) })
	}
	verified(t, "openpgp-2.0").environment(useMaking, algorithmGenerateEC, 0, 0x6A81)
}

// TestIsoAppletKeyIsReplaced: a new key takes the place of the old one without
// a question.
func TestIsoAppletKeyIsReplaced(t *testing.T) {
	h := verified(t, "")
	old := h.makeEC(0, elliptic.P256())
	if h.makeEC(0, elliptic.P256()).Equal(old) {
		t.Fatal("the key is the old one")
	}
}
