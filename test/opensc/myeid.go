package opensc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/hex"
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

func (c *myEID) verify(ctx context.Context, pin string) error {
	return c.send(ctx, iso7816.InsVerify, 0, 1, filled(pin))
}

// create makes the structure and the user PIN, on a card that is not activated.
func (c *myEID) create(ctx context.Context, given options) error {
	if there, err := c.exists(ctx, fileODF); there || err != nil {
		return orElse(err, failed("Failed to create PKCS #15 meta structure: Card is already initialized"))
	}
	if !given.has("--store-pin") {
		return failed("Failed to create PKCS #15 meta structure: Not supported")
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
	pins = append(pins, pinEntry(given["--label"], []byte{1}, []byte{2, 0x0C}, 8, 1, 0xFF)...)
	if err := c.file(ctx, fileAODF, 0xFF, officer, pins); err != nil {
		return err
	}
	directory = append(directory, inDirectory(0xA8, fileAODF))
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
	token := c.tokenInfo(info[8:18], given["--label"])
	if err := c.file(ctx, fileToken, len(token), officer, token); err != nil {
		return err
	}
	if err := c.file(ctx, fileUnused, 128, unused, []byte("\x01\x06pkcs15")); err != nil {
		return err
	}
	return c.setPIN(ctx, 1, given["--pin"], given["--puk"])
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

// generate is left to cardctl, which makes keys of MyEID cards itself.
func (c *myEID) generate(context.Context, options) error {
	return failed("Failed to generate key: the stand-in does not do that")
}

func (c *myEID) store(ctx context.Context, given options) error {
	private, err := parseKey(given["--store-private-key"])
	if err != nil {
		return err
	}
	if err := c.verify(ctx, given["--pin"]); err != nil {
		return err
	}
	k := keyOf(given)
	k.access, k.key = stored, private.Public()
	for k.file = myPrivateKey; ; k.file++ {
		if there, err := c.exists(ctx, k.file); err != nil {
			return err
		} else if !there {
			break
		}
	}
	k.reference = k.file & 0xFF
	if err := c.enter(ctx, 0); err != nil {
		return err
	}
	_, size := k.tag()
	kind := byte(0x11)
	if _, isEC := private.(*ecdsa.PrivateKey); isEC {
		kind = 0x22
	}
	if err := c.make(ctx, k.file, 0x81, size, kind, 0x11, 0x11, 0xFF); err != nil {
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
	if err := c.edit(ctx, myPrivateKeys, added(k.privateEntry())); err != nil {
		return err
	}
	for k.publicFile = myPublicKey; ; k.publicFile++ {
		if there, err := c.exists(ctx, k.publicFile); err != nil {
			return err
		} else if !there {
			break
		}
	}
	content := encoded(k.key)
	if err := c.file(ctx, k.publicFile, len(content), []byte{0x01, 0x1F, 0xFF}, content); err != nil {
		return err
	}
	return c.edit(ctx, myPublicKeys, added(k.publicEntry()))
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
		file := map[string]int{"privkey": myPrivateKeys, "pubkey": myPublicKeys, "cert": 0x4403}[kind]
		content, err := c.read(ctx, file)
		if err != nil {
			return removed, err
		}
		for _, e := range entries(content) {
			if !bytes.Equal(e.id, wanted) {
				continue
			}
			if err := c.verify(ctx, given["--pin"]); err != nil {
				return removed, err
			}
			if err := c.enter(ctx, e.file); err != nil {
				return removed, err
			}
			if err := c.send(ctx, 0xE4, 0, 0, nil); err != nil {
				return removed, err
			}
			if err := c.edit(ctx, file, without(e.id)); err != nil {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}
