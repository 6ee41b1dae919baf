package piv

import (
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// PINPolicy is when a key wants the PIN, TouchPolicy when a touch: Yubico's AA and
// AB. Zero is not told.
type (
	PINPolicy   byte
	TouchPolicy byte
)

// The policies.
const (
	PINNever       PINPolicy = 1
	PINOnce        PINPolicy = 2
	PINAlways      PINPolicy = 3
	PINMatchOnce   PINPolicy = 4
	PINMatchAlways PINPolicy = 5

	TouchNever  TouchPolicy = 1
	TouchAlways TouchPolicy = 2
	TouchCached TouchPolicy = 3
)

func (p PINPolicy) String() string {
	names := map[PINPolicy]string{
		PINNever: "never", PINOnce: "once", PINAlways: "always", PINMatchOnce: "match-once", PINMatchAlways: "match-always",
	}
	return named(names, p)
}

func (p TouchPolicy) String() string {
	return named(map[TouchPolicy]string{TouchNever: "never", TouchAlways: "always", TouchCached: "cached"}, p)
}

func named[P ~byte](names map[P]string, p P) string {
	if name, ok := names[p]; ok {
		return name
	}
	return fmt.Sprintf("%02X", byte(p))
}

// Metadata is what a card tells of a key, a PIN or the management key; every part
// may be missing.
type Metadata struct {
	Algorithm Algorithm // 0 where it is not told
	PIN       PINPolicy
	Touch     TouchPolicy
	// Origin is 1 for a key that was made on the card, 2 for one that was imported, 0
	// where it is not told. There are cards that say 2 of all keys.
	Origin byte
	// Public is nil where it is not told.
	Public crypto.PublicKey
	// IsDefault says whether it is the value of the factory; nil where it is not told.
	IsDefault *bool
	// Counted says that Total and Left are the tries at most, and those left.
	Counted     bool
	Total, Left int
}

// ErrEmpty is a slot without a key, on a card that tells.
var ErrEmpty = errors.New("there is no key in this slot")

// Metadata is Yubico's GET METADATA of a slot, a PIN reference or the management
// key. It is errors.ErrUnsupported on a card without it, and ErrEmpty for a slot
// without a key.
func (c *Card) Metadata(ctx context.Context, reference byte) (Metadata, error) {
	answer, err := c.ask(ctx, iso7816.Command{INS: insMetadata, P2: reference, Ne: iso7816.MaxExtendedNe})
	switch iso7816.StatusOf(err) {
	case iso7816.StatusReferenceNotFound, iso7816.StatusWrongP1P2, iso7816.StatusFileNotFound, iso7816.StatusWrongData:
		return Metadata{}, fmt.Errorf("%w: %w", ErrEmpty, err)
	}
	if err != nil {
		return Metadata{}, err
	}
	return parseMetadata(answer)
}

func parseMetadata(answer []byte) (Metadata, error) {
	const tagAlgorithm, tagPolicy, tagOrigin, tagPublic, tagDefault, tagTries = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
	objects, err := iso7816.ParseTLVs(answer)
	if err != nil {
		return Metadata{}, fmt.Errorf("%w: metadata: %v", ErrMalformed, err)
	}
	var m Metadata
	var public []byte
	for _, o := range objects {
		switch n := len(o.Value); {
		case o.Tag == tagAlgorithm && n == 1:
			m.Algorithm = Algorithm(o.Value[0])
		case o.Tag == tagPolicy && n == 2:
			m.PIN, m.Touch = PINPolicy(o.Value[0]), TouchPolicy(o.Value[1])
		case o.Tag == tagOrigin && n == 1:
			m.Origin = o.Value[0]
		case o.Tag == tagPublic:
			public = o.Value
		case o.Tag == tagDefault && n == 1:
			is := o.Value[0] != 0
			m.IsDefault = &is
		case o.Tag == tagTries && n == 2:
			m.Counted, m.Total, m.Left = true, int(o.Value[0]), int(o.Value[1])
		}
	}
	if public != nil {
		if m.Public, err = parsePublicKey(m.Algorithm, public); err != nil {
			m.Public = nil // it is asked for in another way
		}
	}
	return m, nil
}

// Firmware is the version of a YubiKey; zero is another card.
type Firmware [3]byte

func (f Firmware) String() string { return fmt.Sprintf("%d.%d.%d", f[0], f[1], f[2]) }

// Since reports whether it is this firmware or a later one.
func (f Firmware) Since(major, minor byte) bool {
	return f[0] > major || f[0] == major && f[1] >= minor
}

// Version is Yubico's GET VERSION; errors.ErrUnsupported on other cards.
func (c *Card) Version(ctx context.Context) (Firmware, error) {
	answer, err := c.ask(ctx, iso7816.Command{INS: insVersion, Ne: iso7816.MaxShortNe})
	if err != nil {
		return Firmware{}, err
	}
	if len(answer) != len(Firmware{}) {
		return Firmware{}, fmt.Errorf("%w: a version of %d bytes", ErrMalformed, len(answer))
	}
	return Firmware(answer), nil
}

// Serial is Yubico's GET SERIAL: the number that is printed on the card in decimal;
// errors.ErrUnsupported on other cards.
func (c *Card) Serial(ctx context.Context) (uint32, error) {
	answer, err := c.ask(ctx, iso7816.Command{INS: insSerial, Ne: iso7816.MaxShortNe})
	if err != nil {
		return 0, err
	}
	if len(answer) != 4 {
		return 0, fmt.Errorf("%w: a serial of %d bytes", ErrMalformed, len(answer))
	}
	return binary.BigEndian.Uint32(answer), nil
}
