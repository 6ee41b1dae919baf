package piv

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Object is the tag of a data object (part 1, table 3).
type Object iso7816.Tag

// Data objects. Certificates are those of Slot.Certificate.
const (
	CHUID      Object = 0x5FC102
	CCC        Object = 0x5FC107
	KeyHistory Object = 0x5FC10C
	Discovery  Object = 0x7E
	// Printed is printed information, which the PIN opens: ykman keeps a management key
	// there.
	Printed Object = 0x5FC109
	// Administration is ykman's, of what it changed on the card.
	Administration Object = 0x5FFF00
)

// GetData is GET DATA (3.1.2): the content of 53, or of 7E. It is nil where the card
// has no such object, or an empty one.
func (c *Card) GetData(ctx context.Context, object Object) ([]byte, error) {
	answer, err := c.getData(ctx, object, false)
	if err != nil || len(answer) == 0 {
		return nil, err
	}
	outer, rest, err := iso7816.ParseTLV(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: object %X: %v", ErrMalformed, uint32(object), err)
	}
	if len(rest) != 0 || outer.Tag != tagData && outer.Tag != iso7816.Tag(object) {
		return nil, fmt.Errorf("%w: object %X begins with tag %X", ErrMalformed, uint32(object), uint32(outer.Tag))
	}
	if len(outer.Value) == 0 {
		return nil, nil
	}
	return outer.Value, nil
}

// tagData is around the content of most objects.
const tagData = 0x53

// getData is GET DATA of an object, or of the beginning of one that does not come in one
// answer: empty where the card has none.
func (c *Card) getData(ctx context.Context, object Object, beginning bool) ([]byte, error) {
	const tagList = 0x5C
	tag := iso7816.AppendTag(nil, iso7816.Tag(object))
	answer, err := c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsGetData | 1, P1: 0x3F, P2: 0xFF, Data: iso7816.AppendTLV(nil, tagList, tag), Ne: iso7816.MaxExtendedNe,
		Beginning: beginning,
	})
	switch iso7816.StatusOf(err) {
	case iso7816.StatusFileNotFound, iso7816.StatusRecordNotFound, iso7816.StatusReferenceNotFound:
		return nil, nil
	}
	return answer, err
}

// Unanswered reports whether a card answered, and did not give what it was asked
// for: it refused, has no such command, or its answer is malformed.
func Unanswered(err error) bool {
	return iso7816.StatusOf(err) != 0 || errors.Is(err, ErrMalformed) || errors.Is(err, errors.ErrUnsupported)
}

// GUID is the global unique identifier in a CHUID (part 1, 3.1.2), 16 bytes; false
// where it has none, or one of zeros.
func GUID(chuid []byte) (guid [16]byte, ok bool) {
	value, found := iso7816.FindTLV(chuid, tagGUID)
	if !found || len(value) != len(guid) {
		return guid, false
	}
	guid = [16]byte(value)
	return guid, guid != [16]byte{}
}

// PINReference is the PIN that opens the keys: the one of the application, or the
// global one of the card.
type PINReference byte

// References of PINs (part 1, table 4a).
const (
	ApplicationPIN PINReference = 0x80
	GlobalPIN      PINReference = 0x00
	PUK            PINReference = 0x81
)

// PINOf reads from a discovery object (part 1, 3.3.2) which PIN opens the keys: of a
// card with both, the one that it prefers. It is that of the application where the
// object does not say.
func PINOf(discovery []byte) PINReference {
	const tagPolicy, hasApplication, hasGlobal, prefersGlobal = 0x5F2F, 0x40, 0x20, 0x20
	policy, ok := iso7816.FindTLV(discovery, tagPolicy)
	if !ok || len(policy) != 2 || policy[0]&hasGlobal == 0 {
		return ApplicationPIN
	}
	if policy[0]&hasApplication == 0 || policy[1] == prefersGlobal {
		return GlobalPIN
	}
	return ApplicationPIN
}

// Retired reads from a key history object (part 1, 3.3.3) in how many of the slots for
// retired keys, the first ones, there are keys; at most all of them.
func Retired(history []byte) int {
	const tagOnCard, tagOffCard = 0xC1, 0xC2
	n := 0
	for _, tag := range []iso7816.Tag{tagOnCard, tagOffCard} {
		if value, ok := iso7816.FindTLV(history, tag); ok && len(value) == 1 {
			n += int(value[0])
		}
	}
	return min(n, int(lastRetired-firstRetired)+1)
}

// DataObjects are those of the standard (part 1, table 3), and of Yubico's programs, that
// hold no certificate of a key.
func DataObjects() []Object {
	return []Object{
		CHUID, CCC, KeyHistory, Printed, Administration,
		fingerprints, security, face, iris, messagingSigner, pairingCode, Discovery, biometricGroup,
	}
}

const (
	fingerprints    Object = 0x5FC103
	security        Object = 0x5FC106
	face            Object = 0x5FC108
	iris            Object = 0x5FC121
	messagingSigner Object = 0x5FC122
	pairingCode     Object = 0x5FC123
	biometricGroup  Object = 0x7F61
)

// String is what the standard calls an object; empty for those of certificates.
func (o Object) String() string {
	return map[Object]string{
		CHUID: "card holder unique identifier", CCC: "card capability container", KeyHistory: "key history", Printed: "printed information",
		Administration: "administration data of ykman", fingerprints: "fingerprints", security: "security object", face: "facial image", iris: "iris images",
		messagingSigner: "secure messaging certificate signer", pairingCode: "pairing code", Discovery: "discovery object",
		biometricGroup: "biometric information group",
	}[o]
}

// Objects are all that an issuer can write to, certificates too; those of attestation are
// not among them.
func Objects() []Object {
	objects := slices.DeleteFunc(DataObjects(), func(o Object) bool { return o == Discovery || o == biometricGroup })
	for _, s := range Slots() {
		if s != Attestation {
			objects = append(objects, s.Certificate())
		}
	}
	return objects
}
