package iso7816

import (
	"errors"
	"fmt"
)

// ErrTLV is what data that is not well-formed BER-TLV is.
var ErrTLV = errors.New("malformed BER-TLV")

// Tag is a BER-TLV tag of one to three bytes, as it is written: 0x4F, 0x5F52,
// 0x7F49.
type Tag uint32

// Constructed reports whether the value is itself BER-TLV.
func (t Tag) Constructed() bool {
	switch {
	case t > 0xFFFF:
		return t>>16&0x20 != 0
	case t > 0xFF:
		return t>>8&0x20 != 0
	default:
		return t&0x20 != 0
	}
}

// TLV is one data object. Value is not copied from what was parsed.
type TLV struct {
	Tag   Tag
	Value []byte
}

// ParseTLVs reads the data objects that fill data (ISO/IEC 7816-4, 6.2).
// Padding bytes 00 and FF between objects are skipped.
func ParseTLVs(data []byte) ([]TLV, error) {
	var list []TLV
	for len(data) > 0 {
		if data[0] == 0x00 || data[0] == 0xFF {
			data = data[1:]
			continue
		}
		object, rest, err := ParseTLV(data)
		if err != nil {
			return nil, err
		}
		list = append(list, object)
		data = rest
	}
	return list, nil
}

// ParseTLV reads one data object from the start of data and returns what
// follows it.
func ParseTLV(data []byte) (object TLV, rest []byte, err error) {
	tag, rest, err := ParseTag(data)
	if err != nil {
		return TLV{}, nil, err
	}
	length, rest, err := ParseLength(rest)
	if err != nil {
		return TLV{}, nil, fmt.Errorf("tag %X: %w", uint32(tag), err)
	}
	if length > len(rest) {
		return TLV{}, nil, fmt.Errorf("%w: tag %X says %d bytes, %d are there", ErrTLV, uint32(tag), length, len(rest))
	}
	return TLV{Tag: tag, Value: rest[:length:length]}, rest[length:], nil
}

// ParseTag reads a tag field.
func ParseTag(data []byte) (Tag, []byte, error) {
	if len(data) == 0 {
		return 0, nil, fmt.Errorf("%w: no tag", ErrTLV)
	}
	tag := Tag(data[0])
	if tag&0x1F != 0x1F {
		return tag, data[1:], nil
	}
	for i := 1; i < 3 && i < len(data); i++ {
		tag = tag<<8 | Tag(data[i])
		if data[i]&0x80 == 0 {
			return tag, data[i+1:], nil
		}
	}
	return 0, nil, fmt.Errorf("%w: tag field too long or cut", ErrTLV)
}

// ParseLength reads a length field of up to four bytes.
func ParseLength(data []byte) (int, []byte, error) {
	if len(data) == 0 {
		return 0, nil, fmt.Errorf("%w: no length", ErrTLV)
	}
	first := data[0]
	data = data[1:]
	if first < 0x80 {
		return int(first), data, nil
	}
	n := int(first & 0x7F)
	if n == 0 || n > 3 || n > len(data) {
		return 0, nil, fmt.Errorf("%w: length field %02X", ErrTLV, first)
	}
	length := 0
	for _, b := range data[:n] {
		length = length<<8 | int(b)
	}
	return length, data[n:], nil
}

// FindTLV looks for a path of tags in data, each inside the one before, and
// returns the value of the last.
func FindTLV(data []byte, path ...Tag) ([]byte, bool) {
	for _, tag := range path {
		list, err := ParseTLVs(data)
		if err != nil {
			return nil, false
		}
		found := false
		for _, object := range list {
			if object.Tag == tag {
				data, found = object.Value, true
				break
			}
		}
		if !found {
			return nil, false
		}
	}
	return data, true
}

// AppendTLV appends a data object to b, its length in the shortest form.
func AppendTLV(b []byte, tag Tag, value ...[]byte) []byte {
	length := 0
	for _, v := range value {
		length += len(v)
	}
	b = AppendLength(AppendTag(b, tag), length)
	for _, v := range value {
		b = append(b, v...)
	}
	return b
}

// AppendTag appends a tag field.
func AppendTag(b []byte, tag Tag) []byte {
	if tag > 0xFFFF {
		b = append(b, byte(tag>>16))
	}
	if tag > 0xFF {
		b = append(b, byte(tag>>8))
	}
	return append(b, byte(tag))
}

// AppendLength appends a length field in the shortest form.
func AppendLength(b []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n <= 0xFF:
		return append(b, 0x81, byte(n))
	case n <= 0xFFFF:
		return append(b, 0x82, byte(n>>8), byte(n))
	default:
		return append(b, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
}
