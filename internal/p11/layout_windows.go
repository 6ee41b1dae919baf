package p11

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// PKCS#11 on Windows (2.40, 2.1): a CK_ULONG has 4 bytes, and structures are packed to
// 1 byte. So they are byte strings here, in which pointers stand where they fall.

const (
	ulongSize   = 4
	ckTrue      = 1 // CK_TRUE
	ckFalse     = 0 // CK_FALSE
	pointerSize = int(unsafe.Sizeof(uintptr(0)))
)

// handed is memory that a call hands to a module: it stays where it is until it is
// released.
type handed struct{ pinner runtime.Pinner }

func (h *handed) release() { h.pinner.Unpin() }

// at is the address of bytes; 0 for none.
func (h *handed) at(b []byte) uintptr {
	if cap(b) == 0 {
		return 0
	}
	p := unsafe.SliceData(b)
	h.pinner.Pin(p)
	return uintptr(unsafe.Pointer(p))
}

// number is the address of a CK_ULONG that a module changes.
func (h *handed) number(n *uint32) uintptr {
	h.pinner.Pin(n)
	return uintptr(unsafe.Pointer(n))
}

func appendUlong(b []byte, n uint) []byte { return binary.LittleEndian.AppendUint32(b, uint32(n)) }

func appendPointer(b []byte, p uintptr) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(p))[:len(b)+pointerSize]
}

func ulongAt(b []byte, offset int) uint { return uint(binary.LittleEndian.Uint32(b[offset:])) }

// triple is a CK_ATTRIBUTE or a CK_MECHANISM: a type, and a value by its address and
// length in bytes.
func (h *handed) triple(list []byte, kind uint, value []byte) []byte {
	return appendUlong(appendPointer(appendUlong(list, kind), h.at(value)), uint(len(value)))
}

const tripleSize = ulongSize + pointerSize + ulongSize

// template is a list of CK_ATTRIBUTE. Its values are copies.
func (h *handed) template(attributes []objectAttribute) (list []byte, wipe func()) {
	var values [][]byte
	for _, a := range attributes {
		value := a.encoded()
		values = append(values, value)
		list = h.triple(list, a.kind, value)
	}
	return list, func() {
		for _, value := range values {
			clear(value)
		}
	}
}

// encoded is the value as PKCS#11 has it, in memory of its own.
func (a objectAttribute) encoded() []byte {
	switch value := a.value.(type) {
	case uint:
		return appendUlong(nil, value)
	case bool:
		if value {
			return []byte{ckTrue}
		}
		return []byte{ckFalse}
	case string:
		return []byte(value)
	case []byte:
		return append([]byte{}, value...)
	}
	return nil
}

// mechanism is a CK_MECHANISM with its parameters.
func (h *handed) mechanism(m mechanism) []byte {
	var parameters []byte
	switch {
	case m.pss != nil: // CK_RSA_PKCS_PSS_PARAMS
		parameters = appendUlong(appendUlong(appendUlong(nil, m.pss.hash), m.pss.mgf), m.pss.saltLength)
	case m.oaep != nil: // CK_RSA_PKCS_OAEP_PARAMS, with no label
		parameters = appendUlong(appendUlong(appendUlong(nil, m.oaep.hash), m.oaep.mgf), pkcs11.CKZ_DATA_SPECIFIED)
		parameters = appendUlong(appendPointer(parameters, 0), 0)
	case m.ecdh != nil: // CK_ECDH1_DERIVE_PARAMS, with no shared data
		parameters = appendPointer(appendUlong(appendUlong(nil, pkcs11.CKD_NULL), 0), 0)
		parameters = appendPointer(appendUlong(parameters, uint(len(m.ecdh))), h.at(m.ecdh))
	}
	return h.triple(nil, uint(m.id), parameters)
}
