package openpgp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// KDF is DO F9 (4.3.2): how a password is hashed before it is sent.
type KDF struct {
	newHash func() hash.Hash // nil for none: the password is sent as it is
	count   int              // bytes hashed
	salts   map[PasswordRef][]byte
}

// blockOfKDF is about how many bytes are hashed at once, which is faster than a password.
const blockOfKDF = 4 << 10

// maxKDFCount bounds the bytes a card can make us hash.
const maxKDFCount = 1 << 28

// notSetUp are status words of cards that announce DO F9, and have none.
var notSetUp = append([]iso7816.Status{iso7816.StatusINSNotSupported, iso7816.StatusFunctionNotSupported, iso7816.StatusWrongP1P2, iso7816.StatusWrongOffset}, absent...)

// readKDF reads DO F9 where the card says that it has one, once.
func (c *Card) readKDF(ctx context.Context) (*KDF, error) {
	if c.kdf != nil {
		return c.kdf, nil
	}
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	c.kdf = &KDF{}
	if !data.Extended.KDF {
		return c.kdf, nil
	}
	raw, err := c.GetData(ctx, 0xF9)
	if slices.Contains(notSetUp, iso7816.StatusOf(err)) {
		return c.kdf, nil
	}
	if err != nil { // how the card wants its passwords is not known
		c.kdf = nil
		return nil, err
	}
	kdf, err := ParseKDF(raw)
	if err != nil {
		c.kdf = nil
		return nil, err
	}
	c.kdf = kdf
	return kdf, nil
}

// KeepKDF has DO F9 be as it was read of the same card when it was selected before.
func (c *Card) KeepKDF(before *Card) { c.kdf = before.kdf }

// DerivesPasswords reports whether the card takes its passwords only in key
// derived format.
func (c *Card) DerivesPasswords(ctx context.Context) (bool, error) {
	kdf, err := c.readKDF(ctx)
	return err == nil && kdf.newHash != nil, err
}

// ParseKDF reads the answer to GET DATA F9.
func ParseKDF(raw []byte) (*KDF, error) {
	objects := map[iso7816.Tag][]byte{}
	list, err := iso7816.ParseTLVs(template(raw, 0xF9))
	if err != nil {
		return nil, fmt.Errorf("%w: KDF: %w", ErrMalformed, err)
	}
	for _, object := range list {
		objects[object.Tag] = object.Value
	}
	algorithm := objects[0x81]
	if len(algorithm) == 0 || len(algorithm) == 1 && algorithm[0] == 0 {
		return &KDF{}, nil
	}
	hashes := map[byte]func() hash.Hash{0x08: sha256.New, 0x0A: sha512.New}
	id, count, salt := objects[0x82], objects[0x83], objects[0x84]
	if len(algorithm) != 1 || algorithm[0] != 3 || len(id) != 1 || hashes[id[0]] == nil || len(count) != 4 || len(salt) != 8 {
		return nil, fmt.Errorf("%w: KDF with algorithm %X, hash %X", ErrMalformed, algorithm, id)
	}
	n := binary.BigEndian.Uint32(count)
	if n > maxKDFCount {
		return nil, fmt.Errorf("%w: KDF that hashes %d bytes", ErrMalformed, n)
	}
	kdf := &KDF{newHash: hashes[id[0]], count: int(n), salts: map[PasswordRef][]byte{
		PW1: salt, PW1Sign: salt, ResettingCode: salt, PW3: salt,
	}}
	if other := objects[0x85]; len(other) == 8 {
		kdf.salts[ResettingCode] = other
	}
	if other := objects[0x86]; len(other) == 8 {
		kdf.salts[PW3] = other
	}
	return kdf, nil
}

// Derive returns what is sent to the card for a password: a copy of it, or its
// iterated and salted hash (RFC 4880, 3.7.1.3). The caller wipes it.
func (k *KDF) Derive(ref PasswordRef, password []byte) []byte {
	if k.newHash == nil {
		return append(make([]byte, 0, len(password)), password...)
	}
	salted := append(append(make([]byte, 0, 8+len(password)), k.salts[ref]...), password...)
	defer secret.Wipe(salted)
	block := bytes.Repeat(salted, 1+blockOfKDF/len(salted))
	defer secret.Wipe(block)
	h := k.newHash()
	for left := max(k.count, len(salted)); left > 0; left -= len(block) {
		h.Write(block[:min(left, len(block))])
	}
	return h.Sum(nil)
}

// PasswordLimit is the greatest length in bytes of a password that a person
// may choose. With a KDF the card sees the hash only.
func (c *Card) PasswordLimit(ctx context.Context, ref PasswordRef) (int, error) {
	kdf, err := c.readKDF(ctx)
	if err != nil {
		return 0, err
	}
	if kdf.newHash != nil {
		return 127, nil
	}
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return 0, err
	}
	return data.Passwords.Status(ref).MaxLength, nil
}

func (c *Card) derive(ctx context.Context, ref PasswordRef, password *secret.Bytes) ([]byte, error) {
	if c.plain[ref] {
		return bytes.Clone(password.Reveal()), nil
	}
	return c.deriveNew(ctx, ref, password)
}

// deriveNew derives a password that the card does not have yet.
func (c *Card) deriveNew(ctx context.Context, ref PasswordRef, password *secret.Bytes) ([]byte, error) {
	kdf, err := c.readKDF(ctx)
	if err != nil {
		return nil, err
	}
	return kdf.Derive(ref, password.Reveal()), nil
}

// derivePair derives a password and a new one, one behind the other.
func (c *Card) derivePair(ctx context.Context, ref1 PasswordRef, p1 *secret.Bytes, ref2 PasswordRef, p2 *secret.Bytes) ([]byte, error) {
	first, err := c.derive(ctx, ref1, p1)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(first)
	second, err := c.deriveNew(ctx, ref2, p2)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(second)
	return append(append(make([]byte, 0, len(first)+len(second)), first...), second...), nil
}

// kdfCount is how many bytes are hashed for a password that a new KDF derives: a number
// that the S2K of RFC 4880 can encode, and some hundredths of a second.
const kdfCount = 8 << 20

// Tags in DO F9, in the order in which the strictest cards want them.
const (
	kdfAlgorithm iso7816.Tag = 0x81 + iota
	kdfHash
	kdfBytes
	kdfSaltPW1
	kdfSaltResettingCode
	kdfSaltPW3
	kdfInitialPW1
	kdfInitialPW3
)

// newKDF draws a salt for each password.
func newKDF(random io.Reader) (*KDF, error) {
	k := &KDF{newHash: sha256.New, count: kdfCount, salts: map[PasswordRef][]byte{}}
	for _, ref := range []PasswordRef{PW1, ResettingCode, PW3} {
		salt := make([]byte, 8)
		if _, err := io.ReadFull(random, salt); err != nil {
			return nil, err
		}
		k.salts[ref] = salt
	}
	k.salts[PW1Sign] = k.salts[PW1]
	return k, nil
}

// encode is the content of DO F9, with the hashes of the passwords of the factory.
func (k *KDF) encode(initial map[PasswordRef][]byte) []byte {
	if k.newHash == nil {
		return []byte{byte(kdfAlgorithm), 1, 0}
	}
	const iteratedSalted, hashSHA256 = 3, 8
	var b []byte
	for _, object := range []struct {
		tag   iso7816.Tag
		value []byte
	}{
		{kdfAlgorithm, []byte{iteratedSalted}}, {kdfHash, []byte{hashSHA256}}, {kdfBytes, binary.BigEndian.AppendUint32(nil, uint32(k.count))},
		{kdfSaltPW1, k.salts[PW1]}, {kdfSaltResettingCode, k.salts[ResettingCode]}, {kdfSaltPW3, k.salts[PW3]},
		{kdfInitialPW1, k.Derive(PW1, initial[PW1])}, {kdfInitialPW3, k.Derive(PW3, initial[PW3])},
	} {
		b = iso7816.AppendTLV(b, object.tag, object.value)
	}
	return b
}

// PutKDF sets up a KDF with new salts, or none, after PW3 was verified. The card gives
// PW1 and PW3 their values of the factory then, which are known to everybody, and wants
// them verified again. It reads back what it wrote.
func (c *Card) PutKDF(ctx context.Context, on bool, random io.Reader, factory map[PasswordRef][]byte) error {
	k := &KDF{}
	if on {
		var err error
		if k, err = newKDF(random); err != nil {
			return err
		}
	}
	value := k.encode(factory)
	err := c.PutData(ctx, kdfObject, value)
	c.kdf = nil
	clear(c.verified)
	if err != nil && (iso7816.Refused(err) || iso7816.StatusOf(err) == 0) {
		return err
	}
	told, failed := c.GetData(ctx, kdfObject)
	switch {
	case failed == nil && bytes.Equal(template(told, kdfObject), value):
		return nil
	case err != nil:
		return err
	case failed != nil:
		return failed
	}
	return ErrNotStored
}

// ErrNotStored is a card that confirmed a write, and has another value.
var ErrNotStored = errors.New("the card confirmed a write but did not store the data")

// KeptPlain notes that the card stored a KDF and did not change its passwords: the next
// change of each has the old one as it is.
func (c *Card) KeptPlain() { c.plain = map[PasswordRef]bool{PW1: true, PW1Sign: true, PW3: true} }

const kdfObject iso7816.Tag = 0xF9
