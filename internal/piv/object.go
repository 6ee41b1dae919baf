package piv

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Object is the tag of a data object (part 1, table 3).
type Object iso7816.Tag

// Data objects. Certificates are those of Slot.Certificate.
const (
	CHUID      Object = 0x5FC102
	KeyHistory Object = 0x5FC10C
	Discovery  Object = 0x7E
)

// GetData is GET DATA (3.1.2): the content of 53, or of 7E. It is nil where the card
// has no such object, or an empty one.
func (c *Card) GetData(ctx context.Context, object Object) ([]byte, error) {
	const tagList, tagData = 0x5C, 0x53
	tag := iso7816.AppendTag(nil, iso7816.Tag(object))
	answer, err := c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsGetData | 1, P1: 0x3F, P2: 0xFF, Data: iso7816.AppendTLV(nil, tagList, tag), Ne: iso7816.MaxExtendedNe,
	})
	switch iso7816.StatusOf(err) {
	case iso7816.StatusFileNotFound, iso7816.StatusRecordNotFound, iso7816.StatusReferenceNotFound:
		return nil, nil
	}
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

// Unanswered reports whether a card answered, and did not give what it was asked
// for: it refused, has no such command, or its answer is malformed.
func Unanswered(err error) bool {
	return iso7816.StatusOf(err) != 0 || errors.Is(err, ErrMalformed) || errors.Is(err, errors.ErrUnsupported)
}

// GUID is the global unique identifier in a CHUID (part 1, 3.1.2), 16 bytes; false
// where it has none, or one of zeros.
func GUID(chuid []byte) (guid [16]byte, ok bool) {
	const tagGUID = 0x34
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
