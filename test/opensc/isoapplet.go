package opensc

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// isoApplet is OpenSC's profile isoApplet.
type isoApplet struct{ *card }

const (
	isoPrivateKeys = 0x4402
	isoPublicKeys  = 0x4403
	isoPublicKey   = 0x3300 // the first
)

// Access conditions: mode byte, and seven conditions.
var (
	isoFree    = []byte{0xFF, 0, 0, 0, 0, 0, 0, 0}
	isoPIN     = []byte{0xFF, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0}
	isoKeyFile = []byte{0xFF, 0x90, 0xFF, 0xFF, 0xFF, 0xFF, 0x90, 0}
)

// make makes a file in the selected DF.
func (c *isoApplet) make(ctx context.Context, file, size int, descriptor byte, access []byte) error {
	return c.send(ctx, 0xE0, 0, 0, tlv(0x6F, tlv(0x81, id(size)), tlv(0x82, []byte{descriptor}), tlv(0x83, id(file)), tlv(0x86, access)))
}

// file makes a file of the application, and writes it with the PIN, if there is
// one.
func (c *isoApplet) file(ctx context.Context, file, size int, access []byte, pin string, content []byte) error {
	if err := c.enter(ctx, 0); err != nil {
		return err
	}
	if err := c.make(ctx, file, size, 1, access); err != nil {
		return err
	}
	if pin != "" {
		if err := c.verify(ctx, pin); err != nil {
			return err
		}
	}
	if err := c.enter(ctx, file); err != nil {
		return err
	}
	return c.write(ctx, content)
}

func (c *isoApplet) verify(ctx context.Context, pin string) error {
	return c.send(ctx, iso7816.InsVerify, 0, 1, append([]byte(pin), make([]byte, max(0, 16-len(pin)))...))
}

func (c *isoApplet) create(ctx context.Context, given options) error {
	if there, err := c.exists(ctx, 0); there || err != nil {
		return orElse(err, failed("Failed to create PKCS #15 meta structure: Card is already initialized"))
	}
	pin := given["--so-pin"]
	application, files := bytes.Clone(isoFree), isoFree
	if pin != "" {
		application[7], files = 0x90, isoPIN
	}
	if err := c.send(ctx, iso7816.InsSelect, 0, 0x0C, id(0x3F00)); err != nil {
		return err
	}
	if err := c.make(ctx, fileDF, 5000, 0x38, application); err != nil {
		return err
	}
	if puk := given["--so-puk"]; puk != "" {
		if err := c.send(ctx, iso7816.InsChangeReferenceData, 1, 2, []byte(puk)); err != nil {
			return err
		}
	}
	var entry []byte
	if pin != "" {
		if err := c.send(ctx, iso7816.InsChangeReferenceData, 1, 1, []byte(pin)); err != nil {
			return err
		}
		entry = pinEntry("User PIN", []byte{0xFF}, []byte{2, 0x8C}, 16, 1, 0)
	}
	serial, _ := hex.DecodeString(given["--serial"])
	token := tlv(0x30, number(0), tlv(0x04, serial), tlv(0x0C, []byte("unknown")), tlv(0x80, []byte(given["--label"])),
		[]byte{0x03, 0x02, 0x04, 0x10}, tlv(0xA5, tlv(0x18, c.time())))
	if err := c.file(ctx, fileAODF, 256, files, pin, entry); err != nil {
		return err
	}
	if err := c.file(ctx, fileODF, 256, isoFree, "", inDirectory(0xA8, fileAODF)); err != nil {
		return err
	}
	if err := c.send(ctx, iso7816.InsSelect, 0, 0x0C, id(0x3F00)); err != nil {
		return err
	}
	if err := c.make(ctx, fileDIR, 128, 1, isoFree); err != nil {
		return err
	}
	if err := c.send(ctx, iso7816.InsSelect, 0x08, 0x0C, id(fileDIR)); err != nil {
		return err
	}
	if err := c.write(ctx, dirEntry(given["--label"])); err != nil {
		return err
	}
	if err := c.file(ctx, fileToken, len(token), isoFree, "", token); err != nil {
		return err
	}
	return c.file(ctx, fileUnused, 128, files, pin, []byte("\x01\x06pkcs15"))
}

// storePIN: the profile has one PIN.
func (c *isoApplet) storePIN(context.Context, options) error {
	return failed("Failed to store PIN: Not supported")
}

func (c *isoApplet) finalize(context.Context) error { return nil }

// environment is MANAGE SECURITY ENVIRONMENT for a new key.
func (c *isoApplet) environment(ctx context.Context, isEC bool, reference int) error {
	algorithm := byte(0xF3)
	if isEC {
		algorithm = 0xEC
	}
	if err := c.enter(ctx, 0); err != nil {
		return err
	}
	return c.send(ctx, iso7816.InsManageSecurity, 0x41, 0, []byte{0x80, 1, algorithm, 0x84, 1, byte(reference)})
}

// free is the first reference that no key has.
func (c *isoApplet) free(ctx context.Context) (int, error) {
	content, err := c.directory(ctx, isoPrivateKeys)
	taken := map[int]bool{}
	for _, e := range entries(content) {
		taken[e.reference] = true
	}
	reference := 0
	for taken[reference] {
		reference++
	}
	return reference, err
}

// listed reports whether EF.ODF names a directory file: one that it does not name was made
// by a run that was cut off, and OpenSC does not see what is in it.
func (c *isoApplet) listed(ctx context.Context, file int) (bool, error) {
	content, err := c.read(ctx, fileODF)
	return slices.ContainsFunc(objects(content), func(object []byte) bool { return bytes.Contains(object, id(file)) }), err
}

// directory reads a directory file, nil where there is none.
func (c *isoApplet) directory(ctx context.Context, file int) ([]byte, error) {
	if listed, err := c.listed(ctx, file); !listed || err != nil {
		return nil, err
	}
	content, err := c.read(ctx, file)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, nil
	}
	return content, err
}

func (c *isoApplet) generate(ctx context.Context, given options) error {
	k := keyOf(given)
	k.access = made
	var err error
	if k.reference, err = c.free(ctx); err != nil {
		return err
	}
	if err := c.verify(ctx, given["--pin"]); iso7816.StatusOf(err) != 0 {
		return failed("Failed to generate key: Not supported") // which it says of a wrong PIN
	} else if err != nil {
		return err
	}
	curve, isEC := curveNamed(given["--generate-key"])
	if err := c.environment(ctx, isEC, k.reference); err != nil {
		return err
	}
	command := iso7816.Command{INS: 0x46, P1: 0x42, Ne: 256}
	if c.Capabilities().ExtendedLength {
		command.Ne = iso7816.MaxExtendedNe
	}
	if isEC {
		command.P1, command.Data = 0, isoCurve(curve)
	}
	answer, err := c.Send(ctx, command)
	if err != nil {
		return err
	}
	if isEC {
		point, _ := iso7816.FindTLV(answer, 0x7F49, 0x86)
		k.key, err = ecdsa.ParseUncompressedPublicKey(curve, point)
	} else {
		modulus, _ := iso7816.FindTLV(answer, 0x7F49, 0x81)
		exponent, _ := iso7816.FindTLV(answer, 0x7F49, 0x82)
		k.key = &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	}
	if err != nil {
		return err
	}
	return c.enterKey(ctx, k, given["--pin"])
}

func (c *isoApplet) store(ctx context.Context, given options) error {
	private, err := parseKey(given["--store-private-key"])
	if err != nil {
		return err
	}
	k := keyOf(given)
	k.access, k.key = stored, private.Public()
	if k.reference, err = c.free(ctx); err != nil {
		return err
	}
	if err := c.verify(ctx, given["--pin"]); err != nil {
		return err
	}
	ec, isEC := private.(*ecdsa.PrivateKey)
	if err := c.environment(ctx, isEC, k.reference); err != nil {
		return err
	}
	var data []byte
	if isEC {
		d, err := ec.Bytes()
		if err != nil {
			return err
		}
		data = tlv(0xE0, isoCurve(ec.Curve), tlv(0x88, d))
	} else {
		key := private.(*rsa.PrivateKey)
		pre := key.Precomputed
		data = tlv(0x7F48, tlv(0x92, key.Primes[0].Bytes()), tlv(0x93, key.Primes[1].Bytes()), tlv(0x94, pre.Qinv.Bytes()),
			tlv(0x95, pre.Dp.Bytes()), tlv(0x96, pre.Dq.Bytes()))
	}
	if err := c.send(ctx, iso7816.InsPutDataOdd, 0x3F, 0xFF, data); err != nil {
		return err
	}
	return c.enterKey(ctx, k, given["--pin"])
}

// enterKey enters the private key, writes the public one, and enters that.
func (c *isoApplet) enterKey(ctx context.Context, k newKey, pin string) error {
	if err := c.enterInto(ctx, isoPrivateKeys, 0xA0, pin, k.privateEntry()); err != nil {
		return err
	}
	var err error
	if k.publicFile, err = c.unused(ctx, isoPublicKey); err != nil {
		return err
	}
	content := encoded(k.key)
	if err := c.file(ctx, k.publicFile, len(content), isoKeyFile, pin, content); err != nil {
		return err
	}
	if err := c.enterInto(ctx, isoPublicKeys, 0xA1, pin, k.publicEntry()); err != nil {
		return err
	}
	return c.touch(ctx)
}

// enterInto enters an object into a directory file, which is made where it is
// missing.
func (c *isoApplet) enterInto(ctx context.Context, file int, kind iso7816.Tag, pin string, object []byte) error {
	there, err := c.exists(ctx, file)
	if err != nil {
		return err
	}
	listed, err := c.listed(ctx, file)
	switch {
	case err != nil:
		return err
	case there && listed:
		return c.edit(ctx, file, added(object))
	case there:
		err = c.edit(ctx, file, func([][]byte) [][]byte { return [][]byte{object} })
	default:
		err = c.file(ctx, file, 512, isoPIN, pin, object)
	}
	if err != nil {
		return err
	}
	return c.edit(ctx, fileODF, added(inDirectory(kind, file)))
}

func (c *isoApplet) remove(ctx context.Context, given options) (int, error) {
	wanted, _ := hex.DecodeString(given["--id"])
	removed := 0
	for _, kind := range strings.Split(given["--delete-objects"], ",") {
		file := map[string]int{"privkey": isoPrivateKeys, "pubkey": isoPublicKeys, "cert": 0x4404}[kind]
		content, err := c.directory(ctx, file)
		if err != nil {
			return removed, err
		}
		for _, e := range entries(content) {
			if !bytes.Equal(e.id, wanted) {
				continue
			}
			if err := c.removeEntry(ctx, file, e, given["--pin"]); err != nil {
				return removed, afterTouch(err, c.touch(ctx))
			}
			removed++
		}
	}
	if removed == 0 {
		return 0, nil
	}
	return removed, c.touch(ctx)
}

// removeEntry removes what the entry of a public key names, and the entry.
func (c *isoApplet) removeEntry(ctx context.Context, file int, e entry, pin string) error {
	if err := c.verify(ctx, pin); err != nil {
		return err
	}
	if e.file != fileDF {
		if err := c.enter(ctx, 0); err != nil {
			return err
		}
		if err := c.send(ctx, 0xE4, 0, 0, id(e.file)); err != nil {
			return err
		}
	}
	return c.edit(ctx, file, without(e.id))
}

// afterTouch: OpenSC writes the time after a failure, too, and tells that.
func afterTouch(err, touched error) error {
	if iso7816.StatusOf(err) == 0 {
		return err
	}
	return orElse(touched, err)
}

// orElse is the first error that there is.
func orElse(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// parseKey reads a private key in PEM.
func parseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, failed("Unable to read private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, failed("Unable to read private key")
	}
	return key.(crypto.Signer), nil
}

func curveNamed(spec string) (elliptic.Curve, bool) {
	switch spec {
	case "ec:prime256v1":
		return elliptic.P256(), true
	case "ec:secp384r1":
		return elliptic.P384(), true
	}
	return nil, false
}

// isoCurve are the domain parameters of a curve.
func isoCurve(curve elliptic.Curve) []byte {
	p := curve.Params()
	n := (p.BitSize + 7) / 8
	fill := func(i *big.Int) []byte { return i.FillBytes(make([]byte, n)) }
	a := new(big.Int).Sub(p.P, big.NewInt(3))
	point := append(append([]byte{4}, fill(p.Gx)...), fill(p.Gy)...)
	return bytes.Join([][]byte{
		tlv(0x81, fill(p.P)), tlv(0x82, fill(a)), tlv(0x83, fill(p.B)), tlv(0x84, point), tlv(0x85, fill(p.N)), tlv(0x87, []byte{0, 1}),
	}, nil)
}
