//go:build cgo && !windows

package p11

/*
#include "functions.h"

enum { INIT_TOKEN = 9, INIT_PIN = 10, SET_PIN = 11, CREATE_OBJECT = 20 };

typedef ck_ulong (*init_token_function)(ck_ulong, ck_byte *, ck_ulong, ck_byte *);
typedef ck_ulong (*init_pin_function)(ck_ulong, ck_byte *, ck_ulong);
typedef ck_ulong (*set_pin_function)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong);
typedef ck_ulong (*create_object_function)(ck_ulong, struct attribute *, ck_ulong, ck_ulong *);

static ck_ulong init_token(struct functions *f, ck_ulong slot, ck_byte *pin, ck_ulong size, ck_byte *label) {
	return ((init_token_function)f->function[INIT_TOKEN])(slot, pin, size, label);
}

static ck_ulong init_pin(struct functions *f, ck_ulong session, ck_byte *pin, ck_ulong size) {
	return ((init_pin_function)f->function[INIT_PIN])(session, pin, size);
}

static ck_ulong set_pin(struct functions *f, ck_ulong session, ck_byte *old, ck_ulong old_size, ck_byte *pin, ck_ulong size) {
	return ((set_pin_function)f->function[SET_PIN])(session, old, old_size, pin, size);
}

static ck_ulong create_object(struct functions *f, ck_ulong session, struct attribute *list, ck_ulong count, ck_ulong *object) {
	return ((create_object_function)f->function[CREATE_OBJECT])(session, list, count, object);
}

// point fills in one attribute.
static void point(struct attribute *list, int i, ck_ulong type, void *value, ck_ulong size) {
	list[i].type = type;
	list[i].value = value;
	list[i].size = size;
}
*/
import "C"

import (
	"bytes"
	"unsafe"
)

// The functions that take a PIN or a private key: miekg/pkcs11 leaves copies
// of both in memory.

func (d direct) initToken(slot uint, pin []byte, label string) error {
	padded := append([]byte(label), bytes.Repeat([]byte{' '}, labelSize)...)[:labelSize]
	return result("C_InitToken", C.init_token(d.list, C.ck_ulong(slot), first(pin), C.ck_ulong(len(pin)), first(padded)))
}

func (d direct) initPIN(s session, pin []byte) error {
	return result("C_InitPIN", C.init_pin(d.list, C.ck_ulong(s), first(pin), C.ck_ulong(len(pin))))
}

func (d direct) setPIN(s session, old, replacement []byte) error {
	return result("C_SetPIN", C.set_pin(d.list, C.ck_ulong(s),
		first(old), C.ck_ulong(len(old)), first(replacement), C.ck_ulong(len(replacement))))
}

// createObject hands the values over in memory of C, which is wiped.
func (d direct) createObject(s session, template []objectAttribute) (object, error) {
	list := attributes(template)
	size := 0
	for _, a := range list {
		size += len(a.Value)
	}
	values := C.calloc(1, C.size_t(size+1))
	defer C.free(values)
	room := unsafe.Slice((*byte)(values), size+1)
	defer clear(room)
	handed := (*C.struct_attribute)(C.calloc(C.size_t(len(list)+1), C.sizeof_struct_attribute))
	defer C.free(unsafe.Pointer(handed))
	at := 0
	for i, a := range list {
		copy(room[at:], a.Value)
		C.point(handed, C.int(i), C.ck_ulong(a.Type), unsafe.Add(values, at), C.ck_ulong(len(a.Value)))
		at += len(a.Value)
	}
	var created C.ck_ulong
	err := result("C_CreateObject", C.create_object(d.list, C.ck_ulong(s), handed, C.ck_ulong(len(list)), &created))
	return object(created), err
}
