package gp

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// KeyInformation is one entry of the key information template (11.3.3.1.1).
type KeyInformation struct {
	ID, Version byte
	Components  []KeyComponent
}

// KeyComponent is the type of one part of a key, as in 11.1.8, and its length
// in bytes.
type KeyComponent struct {
	Type   byte
	Length int
}

// FactoryKeyVersion is the version of keys that were not put on the card by
// PUT KEY: the ones that it came with.
const FactoryKeyVersion = 0xFF

// KeyInformation reads the key information template, tag E0.
func (d *SecurityDomain) KeyInformation(ctx context.Context) ([]KeyInformation, error) {
	data, err := d.GetData(ctx, tagKeyInformation)
	if err != nil {
		return nil, err
	}
	return ParseKeyInformation(data)
}

// ParseKeyInformation reads a key information template with its tag E0, in the
// basic and in the extended format.
func ParseKeyInformation(data []byte) ([]KeyInformation, error) {
	template, ok := iso7816.FindTLV(data, tagKeyInformation)
	if !ok {
		return nil, malformed("no key information template")
	}
	list, err := iso7816.ParseTLVs(template)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var keys []KeyInformation
	for _, object := range list {
		if object.Tag != 0xC0 {
			return nil, malformed("tag %X in the key information template", uint32(object.Tag))
		}
		if len(object.Value) == 0 {
			continue // cards pad with empty entries
		}
		key, err := parseKeyInformation(object.Value)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func parseKeyInformation(b []byte) (k KeyInformation, err error) {
	if len(b) < 4 {
		return k, malformed("key information of %d bytes", len(b))
	}
	k.ID, k.Version = b[0], b[1]
	b = b[2:]
	if b[0] == 0xFF {
		for len(b) >= 4 && b[0] == 0xFF {
			k.Components = append(k.Components, KeyComponent{Type: b[1], Length: int(binary.BigEndian.Uint16(b[2:]))})
			b = b[4:]
		}
		// Key usage and key access follow, each with its length.
		for range 2 {
			if len(b) == 0 || len(b) < 1+int(b[0]) {
				return k, malformed("key information of key %d version %d is truncated", k.ID, k.Version)
			}
			b = b[1+int(b[0]):]
		}
		if len(b) > 0 {
			return k, malformed("key information of key %d version %d is too long", k.ID, k.Version)
		}
		return k, nil
	}
	if len(b)%2 != 0 {
		return k, malformed("key information of key %d version %d is truncated", k.ID, k.Version)
	}
	for ; len(b) > 0; b = b[2:] {
		k.Components = append(k.Components, KeyComponent{Type: b[0], Length: int(b[1])})
	}
	return k, nil
}

// String is the type in words and the length in bits.
func (c KeyComponent) String() string {
	name, ok := map[byte]string{
		0x80: "DES", 0x81: "DES", 0x82: "DES (CBC)", 0x83: "DES", 0x84: "DES", 0x85: "pre-shared key for TLS", 0x88: "AES",
		0x90: "HMAC-SHA1", 0x91: "HMAC-SHA1 (160)", 0xA0: "RSA exponent", 0xA1: "RSA modulus", 0xA2: "RSA modulus",
		0xA3: "RSA private exponent", 0xB0: "EC public key", 0xB1: "EC private key", 0xF0: "EC parameters",
	}[c.Type]
	if !ok {
		name = fmt.Sprintf("type %02X", c.Type)
	}
	return fmt.Sprintf("%s %d bit", name, c.Length*8)
}
