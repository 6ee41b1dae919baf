//go:build cgo || windows

package p11

import (
	"slices"

	"github.com/miekg/pkcs11"
)

// attributeReader makes one call for attributes of an object, with room bytes for each
// value, none to ask for the lengths. A value that does not fit, or that the object does
// not tell, has a size that is larger.
type attributeReader func(kinds []uint, room uint) (values [][]byte, sizes []uint, err error)

// attributes asks for all of them in one call, with room that nearly every
// value fits in: miekg/pkcs11 makes two calls, and gives all up where the object
// lacks one. Every call is a round trip to a network HSM, and to SoftHSM a look
// at its files. Of what a module did not get to after a failure it is asked
// again.
func (read attributeReader) attributes(kinds []uint) ([][]byte, error) {
	commonRoom := uint(attributeRoom)
	if slices.Contains(kinds, uint(pkcs11.CKA_VALUE)) {
		commonRoom = certificateRoom
	}
	values, sizes, failed := read(kinds, commonRoom)
	code := CodeOf(failed)
	if code.isLost() || code.isGone() || code == pkcs11.CKR_OBJECT_HANDLE_INVALID {
		return nil, failed
	}
	for i, kind := range kinds {
		switch {
		case sizes[i] < commonRoom || sizes[i] == commonRoom && failed == nil:
			values[i] = values[i][:sizes[i]]
		case sizes[i] == commonRoom || code == pkcs11.CKR_BUFFER_TOO_SMALL || kind == pkcs11.CKA_VALUE:
			values[i], _ = read.attribute(kind)
		default:
			values[i] = nil
		}
	}
	return values, nil
}

const (
	// attributeRoom is what a value gets at first, a length that none has, and
	// certificateRoom where a certificate is among them.
	attributeRoom, certificateRoom = 2051, 8209
	// maxAttribute is the longest value that is read.
	maxAttribute = 1 << 20
)

// attribute asks for one of up to maxAttribute bytes, and first for its length.
func (read attributeReader) attribute(kind uint) ([]byte, error) {
	_, sizes, err := read([]uint{kind}, 0)
	if err != nil {
		return nil, err
	}
	room := sizes[0]
	if room == 0 {
		return []byte{}, nil
	}
	if room > maxAttribute {
		return nil, &CallError{"C_GetAttributeValue", pkcs11.CKR_ATTRIBUTE_TYPE_INVALID}
	}
	values, sizes, err := read([]uint{kind}, room)
	if err != nil {
		return nil, err
	}
	return values[0][:min(room, sizes[0])], nil
}
