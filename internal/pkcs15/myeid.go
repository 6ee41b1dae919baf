package pkcs15

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// myEID is a MyEID card, or one that works like it, by the reference manual of
// its applet, version 2.3. Before it is activated there is no access control.
type myEID struct {
	files
	version [3]byte
	serial  [10]byte // of the chip

	rsaBits, ecBits int // the longest keys; 0 where the card was not asked yet
}

// myEIDDriver is OpenSC's name for the card's driver.
const myEIDDriver = "myeid"

// Lengths of PINs and PUKs in bytes; shorter ones are filled up.
const (
	myEIDMinPIN  = 4
	myEIDMaxPIN  = 8
	myEIDPadding = 0xFF
)

// Objects of GET DATA and PUT DATA, in P1 and P2.
const (
	objectInitialise   = 0x01E0
	objectAppletInfo   = 0x01A0
	objectCapabilities = 0x01AA
	objectPINInfo      = 0x01B0 // and the PIN's reference
)

const insActivate = 0x44

// pkcs15AID is the AID that ISO/IEC 7816-15 gives to every card.
func pkcs15AID() []byte { return []byte("\xA0\x00\x00\x00\x63PKCS-15") }

// selectMyEID tells the card by its applet information, for the AID is that of
// others too.
func selectMyEID(ctx context.Context, ch *iso7816.Channel) (*myEID, error) {
	m := newCommands(ch)
	if err := m.selectSelf(ctx); err != nil {
		return nil, err
	}
	return m, m.about(ctx)
}

// newCommands are those of a card that is not known to be a MyEID card yet.
func newCommands(ch *iso7816.Channel) *myEID {
	m := &myEID{files: files{ch: ch}}
	m.enter, m.layout = m.selectSelf, m.certificates()
	return m
}

// about asks for the applet information.
func (m *myEID) about(ctx context.Context) error {
	const length, versionAt, serialAt = 20, 5, 8 // bytes
	info, err := m.data(ctx, objectAppletInfo)
	if err != nil {
		return err
	}
	if len(info) != length {
		return &iso7816.StatusError{Status: iso7816.StatusReferenceNotFound, INS: iso7816.InsGetData}
	}
	m.version, m.serial = [3]byte(info[versionAt:]), [10]byte(info[serialAt:])
	return nil
}

// identity is the serial of the chip, which stays whatever is done to the card.
func (m *myEID) identity() *Identity {
	return &Identity{Kind: "MyEID", Chip: fmt.Sprintf("%X", m.serial)}
}

func (m *myEID) name() string {
	return fmt.Sprintf("MyEID %d.%d.%d", m.version[0], m.version[1], m.version[2])
}

func (m *myEID) selectSelf(ctx context.Context) error {
	_, err := m.ch.Select(ctx, pkcs15AID())
	m.fresh = m.fresh && err != nil
	return err
}

// data is GET DATA.
func (m *myEID) data(ctx context.Context, object int) ([]byte, error) {
	return m.ch.Send(ctx, iso7816.Command{INS: iso7816.InsGetData, P1: byte(object >> 8), P2: byte(object), Ne: iso7816.MaxShortNe})
}

// tries is how many tries a PIN or PUK has left: VERIFY without data, which is
// answered 9000 where the PIN is not needed, or GET DATA. It is 0 where the PIN
// was never set.
func (m *myEID) tries(ctx context.Context, p PIN) (int, error) {
	if !p.Unblocking {
		_, err := m.ch.Send(ctx, iso7816.Command{INS: iso7816.InsVerify, P2: byte(p.Reference)})
		if left, ok := iso7816.StatusOf(err).TriesLeft(); ok {
			return left, nil
		}
		if iso7816.StatusOf(err) == iso7816.StatusPINBlocked {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
	}
	info, set, err := m.pinInfo(ctx, p.Reference)
	switch {
	case iso7816.StatusOf(err) != 0:
		return -1, nil
	case err != nil || !set:
		return 0, err
	case p.Unblocking:
		return int(info[1]), nil
	}
	return int(info[0]), nil
}

// pinInfo is what the card tells of a PIN: the tries left of it and of its PUK
// come first. A PIN that was never set is all FF.
func (m *myEID) pinInfo(ctx context.Context, reference int) (info []byte, set bool, err error) {
	const least = 4
	info, err = m.data(ctx, objectPINInfo|reference)
	if err == nil && len(info) < least {
		return nil, false, &iso7816.StatusError{Status: iso7816.StatusReferenceNotFound, INS: iso7816.InsGetData}
	}
	return info, err == nil && info[0] != 0xFF, err
}

// filled are PINs one behind the other, each filled up. The caller wipes it.
func filled(pins ...*secret.Bytes) []byte {
	data := bytes.Repeat([]byte{myEIDPadding}, myEIDMaxPIN*len(pins))
	for i, pin := range pins {
		copy(data[i*myEIDMaxPIN:][:myEIDMaxPIN], pin.Reveal())
	}
	return data
}

func (m *myEID) sendPINs(ctx context.Context, ins byte, p PIN, pins ...*secret.Bytes) error {
	data := filled(pins...)
	defer secret.Wipe(data)
	return m.send(ctx, ins, 0, byte(p.Reference), data)
}

// verify is VERIFY (ISO/IEC 7816-4, 11.5.6).
func (m *myEID) verify(ctx context.Context, p PIN, pin *secret.Bytes) error {
	return m.sendPINs(ctx, iso7816.InsVerify, p, pin)
}

// change is CHANGE REFERENCE DATA.
func (m *myEID) change(ctx context.Context, p PIN, old, replacement *secret.Bytes) error {
	return m.sendPINs(ctx, iso7816.InsChangeReferenceData, p, old, replacement)
}

// unblock is RESET RETRY COUNTER.
func (m *myEID) unblock(ctx context.Context, p PIN, puk, replacement *secret.Bytes) error {
	return m.sendPINs(ctx, iso7816.InsResetRetryCounter, p, puk, replacement)
}

// sign makes an RSA PKCS#1 v1.5 or an ECDSA signature (MANAGE SECURITY
// ENVIRONMENT, PSO: COMPUTE DIGITAL SIGNATURE). The PIN has to be verified.
func (m *myEID) sign(ctx context.Context, k *PrivateKey, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const algorithmPKCS1 = 0x02
	algorithm, input := byte(myEIDEC), digest
	if k.EC {
		input = fitted(digest, (k.Bits+7)/8)
	} else {
		info, err := pubkey.DigestInfo(opts.HashFunc(), digest)
		if err != nil {
			return nil, err
		}
		algorithm, input = algorithmPKCS1, info
	}
	if err := m.environment(ctx, templateSignature, algorithm, k); err != nil {
		return nil, err
	}
	signature, err := m.ch.Send(ctx, iso7816.Command{INS: iso7816.InsPerformSecurityOp, P1: 0x9E, P2: 0x9A, Data: input, Ne: iso7816.MaxShortNe})
	if err != nil || !k.EC {
		return signature, err
	}
	return properSignature(signature)
}

// Algorithm references: RSA without padding, and all that elliptic curve keys do.
const (
	myEIDRaw = 0x00
	myEIDEC  = 0x04
)

// environment is MANAGE SECURITY ENVIRONMENT with the file of a key.
func (m *myEID) environment(ctx context.Context, template, algorithm byte, k *PrivateKey) error {
	if len(k.path) < 2 {
		return fmt.Errorf("%w: a key without a file", errMalformed)
	}
	if err := m.selectPath(ctx, k.path[:len(k.path)-2]); err != nil {
		return err
	}
	file := [2]byte(k.path[len(k.path)-2:])
	return m.send(ctx, iso7816.InsManageSecurity, 0x41, template, environment(algorithm, file, 0))
}

// public is GET DATA of the selected key file: modulus and exponent, or the
// point in a sequence.
func (m *myEID) public(ctx context.Context, isEC bool) (crypto.PublicKey, error) {
	const objectModulus, objectExponent, objectPoint = 0x0101, 0x0102, 0x0186
	if isEC {
		raw, err := m.data(ctx, objectPoint)
		if err != nil {
			return nil, err
		}
		point, _, err := iso7816.ParseTLV(raw)
		if err != nil {
			return nil, err
		}
		return parsePublicKey(iso7816.AppendTLV(nil, tagOctets, point.Value))
	}
	modulus, err := m.data(ctx, objectModulus)
	if err != nil {
		return nil, err
	}
	raw, err := m.data(ctx, objectExponent)
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(raw)
	const leastExponent, exponentBits = 3, 31
	if exponent.BitLen() > exponentBits || exponent.Int64() < leastExponent {
		return nil, fmt.Errorf("%w: a public exponent of %d bits", errMalformed, exponent.BitLen())
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(exponent.Int64())}, nil
}

// fitted is a digest as long as the numbers of a curve: its leftmost bits count
// (FIPS 186-5, 6.4.1), and a short one stands behind zeros.
func fitted(digest []byte, length int) []byte {
	digest = digest[:min(len(digest), length)]
	return append(make([]byte, length-len(digest)), digest...)
}

// properSignature makes DER of an ECDSA signature: cards are known to leave
// leading zeros in its numbers, and to write lengths in more bytes than needed.
func properSignature(signature []byte) ([]byte, error) {
	whole, ok := iso7816.FindTLV(signature, tagSequence)
	parts, err := iso7816.ParseTLVs(whole)
	if !ok || err != nil || len(parts) != 2 || parts[0].Tag != tagInteger || parts[1].Tag != tagInteger {
		return nil, fmt.Errorf("%w: an ECDSA signature of %d bytes", errMalformed, len(signature))
	}
	number := func(i int) *big.Int { return new(big.Int).SetBytes(parts[i].Value) }
	return asn1.Marshal(struct{ R, S *big.Int }{number(0), number(1)})
}

// certificates is how OpenSC's profile has files of certificates: 4301 and the
// following.
func (m *myEID) certificates() layout {
	const first = 0x4301
	remove := func(ctx context.Context, file int) error {
		if err := m.selectPath(ctx, path(fileApplication, file)); err != nil {
			return err
		}
		return m.send(ctx, insDeleteFile, 0, 0, nil)
	}
	create := func(ctx context.Context, file, size int, p PIN) error {
		if err := remove(ctx, file); err != nil && iso7816.StatusOf(err) != iso7816.StatusFileNotFound {
			return err
		}
		return m.createPublic(ctx, file, size, p)
	}
	return layout{first: first, create: create, remove: remove}
}

// createPublic makes a transparent EF in the application DF that all may read and
// the PIN may change and remove, and selects it.
func (m *myEID) createPublic(ctx context.Context, file, size int, p PIN) error {
	const tagSize, transparent = 0x80, 0x01
	pin := byte(p.Reference)
	return m.createFile(ctx, file, tagSize, size, transparent, unlockedReference<<4|pin, pin<<4|neverReference)
}

// createFile makes a file in the application DF (ISO/IEC 7816-9), and selects it.
func (m *myEID) createFile(ctx context.Context, file int, tagSize iso7816.Tag, size int, descriptor byte, access ...byte) error {
	const tagFCP, tagDescriptor, tagID, tagAccess, tagProperties, tagLifeCycle = 0x62, 0x82, 0x83, 0x86, 0x85, 0x8A
	if err := m.selectPath(ctx, id(fileApplication)); err != nil {
		return err
	}
	control := iso7816.AppendTLV(nil, tagSize, id(size))
	control = iso7816.AppendTLV(control, tagDescriptor, []byte{descriptor})
	control = iso7816.AppendTLV(control, tagID, id(file))
	control = iso7816.AppendTLV(control, tagAccess, append(access, neverReference<<4|neverReference))
	control = iso7816.AppendTLV(control, tagProperties, []byte{0, 0})
	control = iso7816.AppendTLV(control, tagLifeCycle, []byte{0})
	if err := m.send(ctx, insCreateFile, 0, 0, iso7816.AppendTLV(nil, tagFCP, control)); err != nil {
		return err
	}
	return m.selectPath(ctx, path(fileApplication, file))
}

// capabilities asks for the longest keys that the card makes, in bits. Cards
// before version 4 do not tell.
func (m *myEID) capabilities(ctx context.Context) error {
	const length, firstToTell = 11, 4
	const always, alwaysEC = 2048, 256
	if m.rsaBits != 0 {
		return nil
	}
	if m.version[0] >= firstToTell {
		if err := m.ready(ctx); err != nil {
			return err
		}
		info, err := m.data(ctx, objectCapabilities)
		if err != nil && iso7816.StatusOf(err) == 0 {
			return err
		}
		if err == nil && len(info) >= length {
			m.rsaBits, m.ecBits = int(info[3])<<8|int(info[4]), int(info[9])<<8|int(info[10])
		}
	}
	m.rsaBits, m.ecBits = max(m.rsaBits, always), max(m.ecBits, alwaysEC)
	return nil
}
