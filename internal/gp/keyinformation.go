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

	// Components are empty where what follows ID and version does not have the
	// form that the specification gives it.
	Components []KeyComponent
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

// ParseKeyInformation reads a key information template with its tag E0, which
// some cards leave out, in the basic and in the extended format. It reads entry by
// entry: one that is odd hides no other, and is there as far as it can be read.
func ParseKeyInformation(data []byte) ([]KeyInformation, error) {
	rest := data
	if tag, inner, err := iso7816.ParseTag(data); err == nil && tag == tagKeyInformation {
		length, content, err := iso7816.ParseLength(inner)
		if err != nil {
			return nil, malformed("no key information template")
		}
		rest = content[:min(length, len(content))]
	}
	const entry, padding = 0xC0, 0x00
	var keys []KeyInformation
	read := false
	for len(rest) > 0 {
		if rest[0] == padding || rest[0] == 0xFF {
			rest = rest[1:]
			continue
		}
		object, next, err := iso7816.ParseTLV(rest)
		if err != nil {
			break
		}
		rest = next
		if object.Tag != entry {
			continue
		}
		read = true
		if key, ok := parseKeyInformation(object.Value); ok {
			keys = append(keys, key)
		}
	}
	if !read && len(rest) > 0 {
		return nil, malformed("no key information template")
	}
	return keys, nil
}

// parseKeyInformation reads one entry; it is false for one that does not name a
// key, such as the empty ones that cards pad with.
func parseKeyInformation(b []byte) (k KeyInformation, ok bool) {
	if len(b) < 2 {
		return k, false
	}
	k.ID, k.Version = b[0], b[1]
	k.Components = keyComponents(b[2:])
	return k, true
}

// keyComponents reads the components of a key, in the basic or in the extended
// format; nil for what is neither.
func keyComponents(b []byte) (list []KeyComponent) {
	if len(b) == 0 || b[0] != 0xFF {
		if len(b)%2 != 0 {
			return nil
		}
		for ; len(b) > 0; b = b[2:] {
			list = append(list, KeyComponent{Type: b[0], Length: int(b[1])})
		}
		return list
	}
	for len(b) >= 4 && b[0] == 0xFF {
		list = append(list, KeyComponent{Type: b[1], Length: int(binary.BigEndian.Uint16(b[2:]))})
		b = b[4:]
	}
	// Key usage and key access follow, each with its length.
	for range 2 {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return nil
		}
		b = b[1+int(b[0]):]
	}
	if len(b) > 0 {
		return nil
	}
	return list
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
