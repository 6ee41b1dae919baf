package pkcs15

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	mathbits "math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// What OpenSC's profile for the card has for keys: files 4B01 and 5501 and the
// following.
const (
	firstPrivateKey = 0x4B01
	firstPublicKey  = 0x5501
)

// generates reports whether this program can make keys: the directories are where
// OpenSC puts them.
func (m *myEID) generates(d *Directory) bool {
	return d.fileOf(dfPrivateKeys) != nil && d.fileOf(dfPublicKeys) != nil
}

// fileOf is the path of the one directory file of a kind, nil where there is
// none, or several.
func (d *Directory) fileOf(kind iso7816.Tag) []byte {
	var found []byte
	for _, f := range d.files {
		if f.kind == kind {
			if found != nil {
				return nil
			}
			found = f.path
		}
	}
	return found
}

// generate makes a key pair: GENERATE ASYMMETRIC KEY PAIR (ISO/IEC 7816-8, 8.2)
// in a file of its own, the public key in another, and then the entries for both,
// that of the private key last: wherever the card is pulled out before that,
// there is no key, and the next one leaves the remainder alone. The PIN has to be
// verified.
func (m *myEID) generate(ctx context.Context, d *Directory, k NewKey) error {
	const tagSize, fileOfRSA, fileOfEC = 0x81, 0x11, 0x22
	_, isEC := curves[k.Algorithm]
	length, err := strconv.Atoi(strings.TrimLeft(k.Algorithm, "rsap"))
	if err != nil {
		return fmt.Errorf("the length of an %s key: %w", k.Algorithm, err)
	}
	number, err := m.freeNumber(ctx, d)
	if err != nil {
		return err
	}
	exponent := []byte{0x30, 0x05, 0x81, 0x03, 0x01, 0x00, 0x01}
	kind := byte(fileOfRSA)
	if isEC {
		exponent, kind = nil, fileOfEC
	}
	private, pin := firstPrivateKey+number, byte(k.PIN.Reference)
	if err := m.createFile(ctx, private, tagSize, length, kind, pin<<4|pin, pin<<4|pin); err != nil {
		return err
	}
	if err := m.send(ctx, insGenerateKeyPair, 0, 0, exponent); err != nil {
		return err
	}
	public, err := m.public(ctx, isEC)
	if err != nil {
		return err
	}
	content, err := encodePublic(public)
	if err != nil {
		return err
	}
	if err := m.createPublic(ctx, firstPublicKey+number, len(content), k.PIN); err != nil {
		return err
	}
	if err := m.update(ctx, 0, content); err != nil {
		return err
	}
	if err := m.enterKey(ctx, d.fileOf(dfPublicKeys), k.ID, publicKeyEntry(k, firstPublicKey+number, length, isEC)); err != nil {
		return err
	}
	return m.enterKey(ctx, d.fileOf(dfPrivateKeys), k.ID, privateKeyEntry(k, private, length, isEC))
}

// freeNumber is the first for which there is no file of a private or a public
// key, in the directory or besides it.
func (m *myEID) freeNumber(ctx context.Context, d *Directory) (int, error) {
	const most = 0xFE
	named := map[string]bool{}
	for _, k := range d.Keys {
		named[string(k.path)] = true
	}
	for _, k := range d.PublicKeys {
		named[string(k.path)] = true
	}
next:
	for number := range most {
		for _, first := range []int{firstPrivateKey, firstPublicKey} {
			if named[string(path(0x3F00, fileApplication, first+number))] {
				continue next
			}
		}
		for _, first := range []int{firstPrivateKey, firstPublicKey} {
			err := m.selectPath(ctx, path(fileApplication, first+number))
			if err == nil {
				continue next
			}
			if iso7816.StatusOf(err) != iso7816.StatusFileNotFound {
				return 0, err
			}
		}
		return number, nil
	}
	return 0, noRoom("for another key")
}

// enterKey puts an entry into a directory of keys, in the place of the one with
// the ID where there is one.
func (m *myEID) enterKey(ctx context.Context, path, id, own []byte) error {
	raw, err := m.room(ctx, path)
	if err != nil {
		return err
	}
	entries, err := parseEntries(raw)
	if err != nil {
		return err
	}
	var content []byte
	for _, e := range entries {
		if !bytes.Equal(first(e.class, tagOctets), id) {
			content = append(content, e.raw...)
		}
	}
	return m.rewrite(ctx, raw, append(content, own...))
}

// encodePublic is a public key as OpenSC has it in a file: RSAPublicKey of RFC
// 8017, or SubjectPublicKeyInfo.
func encodePublic(public crypto.PublicKey) ([]byte, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return x509.MarshalPKCS1PublicKey(public), nil
	case *ecdsa.PublicKey:
		return x509.MarshalPKIXPublicKey(public)
	}
	return nil, fmt.Errorf("%w: the card returned no public key", errMalformed)
}

// id is the ID as the directory has it.
func (p PIN) id() []byte {
	id, _ := hex.DecodeString(p.ID) // it was read from the card
	return id
}

// usageBits are KeyUsageFlags (ISO/IEC 7816-15, 8.4) of a private and of its
// public key, as OpenSC has them.
func usageBits(names []string, isEC bool) (private, public Usage) {
	const encrypt, wrap, verify, verifyRecover = 1 << 0, 1 << 4, 1 << 6, 1 << 7
	if slices.Contains(names, "sign") {
		private, public = private|UsageSign|UsageSignRecover, public|verify|verifyRecover
	}
	if slices.Contains(names, "decrypt") && !isEC {
		private, public = private|UsageDecrypt|UsageUnwrap, public|encrypt|wrap
	}
	if slices.Contains(names, "derive") {
		private, public = private|UsageDerive, public|UsageDerive
	}
	return private, public
}

// flags is a BIT STRING without zeros at its end, its first bit lowest.
func flags(set uint32) []byte {
	reversed := mathbits.Reverse32(set)
	length := mathbits.Len32(set)
	content := []byte{byte((8 - length%8) % 8)}
	for i := 0; i < (length+7)/8; i++ {
		content = append(content, byte(reversed>>(24-8*i)))
	}
	return iso7816.AppendTLV(nil, tagBitString, content)
}

// keyEntry is an entry of EF.PrKD or EF.PuKD: the common attributes, those of
// keys, and where the key is.
func keyEntry(common, class []byte, file, bitLength int, isEC bool) []byte {
	tag := tagSequence
	if isEC {
		tag = tagEC
	}
	at := pathValue(file)
	if bitLength > 0 {
		at = iso7816.AppendTLV(at, tagInteger, integer(bitLength))
	}
	value := iso7816.AppendTLV(nil, tagSequence, common)
	value = iso7816.AppendTLV(value, tagSequence, class)
	value = iso7816.AppendTLV(value, tagType, iso7816.AppendTLV(nil, tagSequence, at))
	return iso7816.AppendTLV(nil, tag, value)
}

// integer is the content of an INTEGER of at most 15 bits.
func integer(n int) []byte {
	if n < 0x80 {
		return []byte{byte(n)}
	}
	return []byte{byte(n >> 8), byte(n)}
}

// privateKeyEntry is an entry of EF.PrKD (ISO/IEC 7816-15, 8.4) as OpenSC writes
// it for a key that was made on the card.
func privateKeyEntry(k NewKey, file, bitLength int, isEC bool) []byte {
	const privateModifiable = 0b11
	const sensitive, alwaysSensitive, neverExtractable, local = 1 << 0, 1 << 2, 1 << 3, 1 << 4
	private, _ := usageBits(k.Usage, isEC)
	common := iso7816.AppendTLV(nil, tagUTF8, []byte(k.Label))
	common = append(common, flags(privateModifiable)...)
	common = iso7816.AppendTLV(common, tagOctets, k.PIN.id())
	class := iso7816.AppendTLV(nil, tagOctets, k.ID)
	class = append(class, flags(uint32(private))...)
	class = append(class, flags(sensitive|alwaysSensitive|neverExtractable|local)...)
	class = iso7816.AppendTLV(class, tagInteger, integer(file&0xFF))
	return keyEntry(common, class, file, bitLength, isEC)
}

// publicKeyEntry is an entry of EF.PuKD (ISO/IEC 7816-15, 8.5): in a file, not
// on the card's own terms. The length of a curve follows from the key.
func publicKeyEntry(k NewKey, file, bitLength int, isEC bool) []byte {
	const modifiable = 0b10
	_, public := usageBits(k.Usage, isEC)
	common := append(iso7816.AppendTLV(nil, tagUTF8, []byte(k.Label)), flags(modifiable)...)
	class := append(iso7816.AppendTLV(nil, tagOctets, k.ID), flags(uint32(public))...)
	class = iso7816.AppendTLV(class, tagBoolean, []byte{0}) // native
	class = iso7816.AppendTLV(class, tagInteger, []byte{0}) // its reference
	if isEC {
		bitLength = 0
	}
	return keyEntry(common, class, file, bitLength, isEC)
}
