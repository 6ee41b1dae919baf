package opensc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// myEID is OpenSC's profile myeid.
type myEID struct{ *card }

const (
	myPrivateKeys = 0x4402
	myPublicKeys  = 0x4404
	myPrivateKey  = 0x4B01 // the first
	myPublicKey   = 0x5501

	myCertificates = 0x4403
	myCertificate  = 0x4301
)

// make makes a file in the selected DF.
func (c *myEID) make(ctx context.Context, file int, sizeTag iso7816.Tag, size int, descriptor byte, access ...byte) error {
	return c.send(ctx, 0xE0, 0, 0, tlv(0x62, tlv(sizeTag, id(size)), tlv(0x82, []byte{descriptor}), tlv(0x83, id(file)),
		tlv(0x86, access), tlv(0x85, []byte{0, 0}), tlv(0x8A, []byte{0})))
}

// file makes a file of the application and writes it.
func (c *myEID) file(ctx context.Context, file, size int, access []byte, content []byte) error {
	if err := c.enter(ctx, 0); err != nil {
		return err
	}
	if err := c.make(ctx, file, 0x80, size, 1, access...); err != nil {
		return err
	}
	if err := c.enter(ctx, file); err != nil {
		return err
	}
	return c.write(ctx, content)
}

// setPIN is PUT DATA with a PIN and its PUK, 3 and 10 tries.
func (c *myEID) setPIN(ctx context.Context, reference byte, pin, puk string) error {
	return c.send(ctx, iso7816.InsPutData, 1, reference, append(append(filled(pin), filled(puk)...), 3, 10))
}

func filled(pin string) []byte {
	return append([]byte(pin), bytes.Repeat([]byte{0xFF}, max(0, 8-len(pin)))...)
}

// verify verifies a PIN where the card is activated.
func (c *myEID) verify(ctx context.Context, reference byte, pin string) error {
	answer, err := c.Send(ctx, iso7816.Command{INS: iso7816.InsSelect, Data: id(0x3F00), Ne: 256})
	if err != nil {
		return err
	}
	if lifeCycle, _ := iso7816.FindTLV(answer, 0x6F, 0x8A); !bytes.Equal(lifeCycle, []byte{7}) {
		return nil
	}
	return c.send(ctx, iso7816.InsVerify, 0, reference, filled(pin))
}

// edit rewrites a directory of keys, for which the profile asks for PIN 1: the
// value that was given for the key is sent as that, whichever it is.
func (c *myEID) edit(ctx context.Context, file int, pin string, change func([][]byte) [][]byte) error {
	if err := c.verify(ctx, 1, pin); err != nil {
		return err
	}
	return c.card.edit(ctx, file, change)
}

// storePIN sets a PIN whose number is its ID, before the card is activated.
func (c *myEID) storePIN(ctx context.Context, given options) error {
	reference, err := hex.DecodeString(given["--auth-id"])
	if err != nil || len(reference) != 1 {
		return failed("Failed to store PIN: Invalid arguments")
	}
	if err := c.setPIN(ctx, reference[0], given["--pin"], given["--puk"]); err != nil {
		return err
	}
	entry := pinEntry(given["--label"], reference, []byte{2, 0x0C}, 8, reference[0], 0xFF)
	if err := c.card.edit(ctx, fileAODF, added(entry)); err != nil {
		return err
	}
	if err := c.touch(ctx); err != nil || !given.has("--finalize") {
		return err
	}
	return c.finalize(ctx)
}

func (c *myEID) finalize(ctx context.Context) error {
	return c.send(ctx, 0x44, 0x04, 0, applicationID())
}

// create makes the structure and the user PIN, on a card that is not activated.
func (c *myEID) create(ctx context.Context, given options) error {
	if there, err := c.exists(ctx, fileODF); there || err != nil {
		return orElse(err, failed("Failed to create PKCS #15 meta structure: Card is already initialized"))
	}
	info, err := c.Send(ctx, iso7816.Command{INS: iso7816.InsGetData, P1: 1, P2: 0xA0, Ne: 256})
	if err != nil || len(info) < 18 {
		return orElse(err, failed("Failed to create PKCS #15 meta structure: Wrong card"))
	}
	user, officer, unused := []byte{0x01, 0x3F, 0xFF}, []byte{0x03, 0x3F, 0xFF}, []byte{0x00, 0x0F, 0xFF}
	var directory [][]byte
	for _, f := range []struct {
		file, size int
		kind       iso7816.Tag
	}{
		{0x4402, 0x05FA, 0xA0}, {fileODF, 0xFF, 0}, {0x4404, 0x05FA, 0xA1}, {0x4407, 0x05FA, 0xA3},
		{0x4403, 0x05FA, 0xA4}, {0x4405, 0x01FE, 0xA5}, {0x4406, 0x05FA, 0xA7},
	} {
		if err := c.file(ctx, f.file, f.size, user, nil); err != nil {
			return err
		}
		if f.kind != 0 {
			directory = append(directory, inDirectory(f.kind, f.file))
		}
	}
	var pins []byte
	if so := given["--so-pin"]; so != "" {
		if err := c.setPIN(ctx, 3, so, given["--so-puk"]); err != nil {
			return err
		}
		pins = pinEntry("Security Officer PIN", []byte{0xFF}, []byte{0, 0x0D}, 8, 3, 0xFF)
		unused = officer
	}
	if given.has("--store-pin") {
		pins = append(pins, pinEntry(given["--label"], []byte{1}, []byte{2, 0x0C}, 8, 1, 0xFF)...)
	}
	if pins != nil {
		if err := c.file(ctx, fileAODF, 0xFF, officer, pins); err != nil {
			return err
		}
		directory = append(directory, inDirectory(0xA8, fileAODF))
	}
	if err := c.enter(ctx, fileODF); err != nil {
		return err
	}
	if err := c.write(ctx, bytes.Join(directory, nil)); err != nil {
		return err
	}
	if err := c.send(ctx, iso7816.InsSelect, 0, 0x0C, id(0x3F00)); err != nil {
		return err
	}
	if err := c.make(ctx, fileDIR, 0x80, 128, 1, officer...); err != nil {
		return err
	}
	if err := c.write(ctx, dirEntry(given["--label"])); err != nil {
		return err
	}
	serial := info[8:18]
	if named, err := hex.DecodeString(given["--serial"]); err == nil && len(named) > 0 {
		serial = named
	}
	token := c.tokenInfo(serial, given["--label"])
	if err := c.file(ctx, fileToken, len(token), officer, token); err != nil {
		return err
	}
	if err := c.file(ctx, fileUnused, 128, unused, []byte("\x01\x06pkcs15")); err != nil {
		return err
	}
	if !given.has("--store-pin") {
		return nil
	}
	return c.setPIN(ctx, 1, given["--pin"], given["--puk"])
}

// erase is INITIALIZE APPLET, with the SO PIN where the MF's access conditions ask
// for it.
func (c *myEID) erase(ctx context.Context, given options) error {
	answer, err := c.Send(ctx, iso7816.Command{INS: iso7816.InsSelect, Data: id(0x3F00), Ne: 256})
	if err != nil {
		return err
	}
	if access, _ := iso7816.FindTLV(answer, 0x6F, 0x86); len(access) == 3 && access[1]>>4 == 3 {
		if err := c.verify(ctx, 3, given["--so-pin"]); err != nil {
			return err
		}
	}
	return c.send(ctx, iso7816.InsPutData, 0x01, 0xE0, []byte{0xFF, 0xFF, 0x11, 0x3F, 0xFF, 0x11, 0x1F, 0xFF})
}

// tokenInfo has the algorithms that OpenSC's driver tells of.
func (c *myEID) tokenInfo(serial []byte, label string) []byte {
	const algorithms = "301B0201010202108105000302020C0609608648016503040101020100" +
		"301B0201020202108205000302020C0609608648016503040102020100" +
		"301B0201030202108105000302020C0609608648016503040129020100" +
		"301B0201040202108205000302020C060960864801650304012A020100"
	known, _ := hex.DecodeString(algorithms)
	return tlv(0x30, number(0), tlv(0x04, serial), tlv(0x0C, []byte("Aventra Ltd.")), tlv(0x80, []byte(label)),
		[]byte{0x03, 0x02, 0x04, 0x30}, tlv(0xA2, known), tlv(0xA5, tlv(0x18, c.time())))
}

// generate makes an EC key; cardctl makes those of the first PIN itself.
func (c *myEID) generate(ctx context.Context, given options) error {
	curve, isEC := curveNamed(given["--generate-key"])
	if !isEC {
		return failed("Failed to generate key: the stand-in makes EC keys alone")
	}
	k := keyOf(given)
	k.access = made
	if err := c.keyFile(ctx, &k, curve.Params().BitSize, 0x22); err != nil {
		return err
	}
	if err := c.verify(ctx, k.pin(), given["--pin"]); err != nil {
		return err
	}
	if err := c.enter(ctx, k.file); err != nil {
		return err
	}
	if err := c.send(ctx, 0x46, 0, 0, nil); err != nil {
		return err
	}
	answer, err := c.Send(ctx, iso7816.Command{INS: iso7816.InsGetData, P1: 1, P2: 0x86, Ne: 256})
	if err != nil {
		return err
	}
	point, _ := iso7816.FindTLV(answer, 0x30)
	if k.key, err = ecdsa.ParseUncompressedPublicKey(curve, point); err != nil {
		return err
	}
	return c.enterKey(ctx, k, given["--pin"])
}

// pin is the number of the key's PIN.
func (k newKey) pin() byte { return append(k.authID, 1)[0] }

// keyFile makes the file of a key.
func (c *myEID) keyFile(ctx context.Context, k *newKey, size int, kind byte) error {
	var err error
	if k.file, err = c.unused(ctx, myPrivateKey); err != nil {
		return err
	}
	k.reference = k.file & 0xFF
	if err := c.enter(ctx, 0); err != nil {
		return err
	}
	pin := k.pin()<<4 | k.pin()
	return c.make(ctx, k.file, 0x81, size, kind, pin, pin, 0xFF)
}

func (c *myEID) store(ctx context.Context, given options) error {
	private, err := parseKey(given["--store-private-key"])
	if err != nil {
		return err
	}
	k := keyOf(given)
	if err := c.verify(ctx, k.pin(), given["--pin"]); err != nil {
		return err
	}
	k.access, k.key = stored, private.Public()
	_, size := k.tag()
	kind := byte(0x11)
	if _, isEC := private.(*ecdsa.PrivateKey); isEC {
		kind = 0x22
	}
	if err := c.keyFile(ctx, &k, size, kind); err != nil {
		return err
	}
	if err := c.enter(ctx, k.file); err != nil {
		return err
	}
	for _, part := range parts(private) {
		if err := c.send(ctx, iso7816.InsPutData, 1, part.number, part.value); err != nil {
			return err
		}
	}
	return c.enterKey(ctx, k, given["--pin"])
}

// enterKey enters the private key, writes the public one, and enters that.
func (c *myEID) enterKey(ctx context.Context, k newKey, pin string) error {
	if err := c.edit(ctx, myPrivateKeys, pin, added(k.privateEntry())); err != nil {
		return err
	}
	var err error
	if k.publicFile, err = c.unused(ctx, myPublicKey); err != nil {
		return err
	}
	content := encoded(k.key)
	if err := c.file(ctx, k.publicFile, len(content), []byte{0x01, 0x1F, 0xFF}, content); err != nil {
		return err
	}
	return c.edit(ctx, myPublicKeys, pin, added(k.publicEntry()))
}

// part is a number of a key, as PUT DATA takes it.
type part struct {
	number byte
	value  []byte
}

func parts(private any) []part {
	if key, ok := private.(*ecdsa.PrivateKey); ok {
		d, _ := key.Bytes()               // the card knows its curve
		point, _ := key.PublicKey.Bytes() // likewise
		return []part{{0x87, d}, {0x86, point}}
	}
	key := private.(*rsa.PrivateKey)
	pre := key.Precomputed
	// A modulus of 256 bytes has a zero before it.
	return []part{
		{0x83, key.Primes[0].Bytes()}, {0x84, key.Primes[1].Bytes()}, {0x85, pre.Dp.Bytes()}, {0x86, pre.Dq.Bytes()},
		{0x87, pre.Qinv.Bytes()}, {0x80, append([]byte{0}, key.N.Bytes()...)}, {0x81, big.NewInt(int64(key.E)).Bytes()},
	}
}

func (c *myEID) remove(ctx context.Context, given options) (int, error) {
	wanted, _ := hex.DecodeString(given["--id"])
	removed := 0
	for _, kind := range strings.Split(given["--delete-objects"], ",") {
		file := map[string]int{"privkey": myPrivateKeys, "pubkey": myPublicKeys, "cert": myCertificates}[kind]
		content, err := c.read(ctx, file)
		if err != nil {
			return removed, err
		}
		for _, e := range entries(content) {
			if !bytes.Equal(e.id, wanted) {
				continue
			}
			if err := c.verify(ctx, e.pin, given["--pin"]); err != nil {
				return removed, err
			}
			if err := c.enter(ctx, e.file); err != nil {
				return removed, err
			}
			if err := c.send(ctx, 0xE4, 0, 0, nil); err != nil {
				return removed, err
			}
			if err := c.edit(ctx, file, given["--pin"], without(e.id)); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// storeCertificate writes a certificate, and its subject into the entry of its
// key.
func (c *myEID) storeCertificate(ctx context.Context, given options) error {
	block, _ := pem.Decode([]byte(given["--store-certificate"]))
	if block == nil {
		return failed("Unable to read certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return failed("Unable to read certificate")
	}
	file, err := c.unused(ctx, myCertificate)
	if err != nil {
		return err
	}
	if err := c.verify(ctx, 1, given["--pin"]); err != nil {
		return err
	}
	if err := c.file(ctx, file, len(block.Bytes), []byte{0x01, 0x1F, 0xFF}, block.Bytes); err != nil {
		return err
	}
	wanted, _ := hex.DecodeString(given["--id"])
	entry := tlv(0x30, tlv(0x30, tlv(0x0C, []byte(given["--label"])), flags(0b10)), tlv(0x30, tlv(0x04, wanted)),
		tlv(0xA1, tlv(0x30, place(0x3F00, fileDF, file))))
	if err := c.edit(ctx, myCertificates, given["--pin"], added(entry)); err != nil {
		return err
	}
	return c.edit(ctx, myPrivateKeys, given["--pin"], func(all [][]byte) [][]byte {
		for i, object := range all {
			if e, ok := parseEntry(object); ok && bytes.Equal(e.id, wanted) {
				all[i] = withSubject(object, certificate.RawSubject)
			}
		}
		return all
	})
}

// withSubject puts the subject between the attributes of the class and those of
// the type.
func withSubject(object, subject []byte) []byte {
	whole, _, _ := iso7816.ParseTLV(object)
	parts, _ := iso7816.ParseTLVs(whole.Value) // it was parsed before
	return tlv(whole.Tag, tlv(0x30, parts[0].Value), tlv(0x30, parts[1].Value), tlv(0xA0, tlv(0x30, subject)), tlv(0xA1, parts[len(parts)-1].Value))
}

// sha256Info is the DigestInfo of SHA-256 (RFC 8017, 9.2) without the digest.
const sha256Info = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// sign is pkcs15-crypt --sign with an EC key.
func (c *myEID) sign(ctx context.Context, given options) ([]byte, error) {
	content, err := c.read(ctx, myPrivateKeys)
	if err != nil {
		return nil, err
	}
	for _, e := range entries(content) {
		if hex.EncodeToString(e.id) != given["--key"] {
			continue
		}
		if err := c.verify(ctx, e.pin, given["--pin"]); err != nil {
			return nil, failed("PIN code verification failed: " + meaning(err))
		}
		if err := c.enter(ctx, 0); err != nil {
			return nil, err
		}
		file := id(e.file)
		algorithm, input := byte(4), []byte(given["--input"]) // ECDSA
		if given.has("--pkcs1") {
			algorithm, input = 2, append([]byte(sha256Info), input...) // the card pads
		}
		if err := c.send(ctx, iso7816.InsManageSecurity, 0x41, 0xB6, []byte{0x80, 1, algorithm, 0x81, 2, file[0], file[1], 0x84, 1, 0}); err != nil {
			return nil, err
		}
		return c.Send(ctx, iso7816.Command{INS: iso7816.InsPerformSecurityOp, P1: 0x9E, P2: 0x9A, Data: input, Ne: 256})
	}
	return nil, failed("Key not found.")
}
