//go:build cgo && !windows

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
	"unsafe"
)

// reader reads attributes of an object.
func (d direct) reader(s session, o object) attributeReader {
	return func(kinds []uint, room uint) ([][]byte, []uint, error) { return d.read(s, o, kinds, room) }
}

func (d direct) attributes(s session, o object, kinds []uint) ([][]byte, error) {
	return d.reader(s, o).attributes(kinds)
}

func (d direct) attribute(s session, o object, kind uint) ([]byte, error) {
	return d.reader(s, o).attribute(kind)
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
