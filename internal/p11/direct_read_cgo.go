//go:build cgo

package p11

/*
#include "functions.h"

enum { GET_ATTRIBUTE_VALUE = 24 };

typedef ck_ulong (*get_attribute_function)(ck_ulong, ck_ulong, struct attribute *, ck_ulong);

static ck_ulong get_attributes(struct functions *f, ck_ulong session, ck_ulong object, struct attribute *list, ck_ulong count) {
	return ((get_attribute_function)f->function[GET_ATTRIBUTE_VALUE])(session, object, list, count);
}

// ask points one attribute at the room for its value.
static void ask(struct attribute *list, int i, ck_ulong type, void *room, ck_ulong size) {
	list[i].type = type;
	list[i].value = room;
	list[i].size = size;
}

static ck_ulong size_of(struct attribute *list, int i) { return list[i].size; }
*/
import "C"

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// attributes asks for all of them in one call, with room that nearly every
// value fits in: miekg/pkcs11 makes two calls, and gives all up where the object
// lacks one. Every call is a round trip to a network HSM, and to SoftHSM a look
// at its files. Of what a module did not get to after a failure it is asked
// again.
func (d direct) attributes(s session, o object, kinds []uint) ([][]byte, error) {
	commonRoom := uint(attributeRoom)
	if slices.Contains(kinds, uint(pkcs11.CKA_VALUE)) {
		commonRoom = certificateRoom
	}
	values, sizes, failed := d.read(s, o, kinds, commonRoom)
	code := CodeOf(failed)
	if code.isLost() || code.isGone() || code == pkcs11.CKR_OBJECT_HANDLE_INVALID {
		return nil, failed
	}
	for i, kind := range kinds {
		switch {
		case sizes[i] < commonRoom || sizes[i] == commonRoom && failed == nil:
			values[i] = values[i][:sizes[i]]
		case sizes[i] == commonRoom || code == pkcs11.CKR_BUFFER_TOO_SMALL || kind == pkcs11.CKA_VALUE:
			values[i], _ = d.attribute(s, o, kind)
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
func (d direct) attribute(s session, o object, kind uint) ([]byte, error) {
	_, sizes, err := d.read(s, o, []uint{kind}, 0)
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
	values, sizes, err := d.read(s, o, []uint{kind}, room)
	if err != nil {
		return nil, err
	}
	return values[0][:min(room, sizes[0])], nil
}

// read makes one call with room bytes for each value, none to ask for the
// lengths.
func (d direct) read(s session, o object, kinds []uint, room uint) (values [][]byte, sizes []uint, err error) {
	memory := C.calloc(C.size_t(len(kinds)), C.size_t(room+1))
	defer C.free(memory)
	list := (*C.struct_attribute)(C.calloc(C.size_t(len(kinds)), C.sizeof_struct_attribute))
	defer C.free(unsafe.Pointer(list))
	for i, kind := range kinds {
		var at unsafe.Pointer
		if room > 0 {
			at = unsafe.Add(memory, uint(i)*room)
		}
		C.ask(list, C.int(i), C.ck_ulong(kind), at, C.ck_ulong(room))
	}
	err = result("C_GetAttributeValue", C.get_attributes(d.list, C.ck_ulong(s), C.ck_ulong(o), list, C.ck_ulong(len(kinds))))
	all := bytes.Clone(unsafe.Slice((*byte)(memory), uint(len(kinds))*room))
	for i := range kinds {
		sizes = append(sizes, uint(C.size_of(list, C.int(i))))
		values = append(values, all[uint(i)*room:uint(i+1)*room:uint(i+1)*room])
	}
	return values, sizes, err
}
