//go:build cgo && !windows

package p11

/*
#cgo linux freebsd LDFLAGS: -ldl

#include "functions.h"

enum { LOGIN = 18, DECRYPT = 34, SIGN = 43 };

typedef ck_ulong (*login_function)(ck_ulong, ck_ulong, ck_byte *, ck_ulong);
typedef ck_ulong (*data_function)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong *);

#ifdef __GLIBC__
#include <malloc.h>
#endif

// load maps the module; where it is NULL, reason is the system's, if it has one.
static void *load(const char *path, const char **reason) {
	*reason = NULL;
#ifdef __GLIBC__
	// A call may come from any thread, and only one at a time does: memory of its
	// own for every thread would only cost page faults. It is looked for, because
	// a program made with glibc may run with musl, which has no such thing.
	int (*set)(int, int) = (int (*)(int, int))dlsym(NULL, "mallopt");
	if (set != NULL)
		set(M_ARENA_MAX, 1);
#endif
	void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (handle == NULL)
		*reason = dlerror();
	return handle;
}

static ck_ulong login(struct functions *f, ck_ulong session, ck_ulong user, ck_byte *pin, ck_ulong size) {
	return ((login_function)f->function[LOGIN])(session, user, pin, size);
}

static ck_ulong use(struct functions *f, int number, ck_ulong session, ck_byte *in, ck_ulong in_size, ck_byte *out, ck_ulong *out_size) {
	return ((data_function)f->function[number])(session, in, in_size, out, out_size);
}
*/
import "C"

import (
	"errors"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// direct calls the functions of a module for which miekg/pkcs11 does not do:
// C_Login, because it leaves a copy of the PIN in memory, and C_Sign and
// C_Decrypt, because it asks for the length of the answer first. Scute does not
// know that question, and browsers do not ask it.
type direct struct{ list *C.struct_functions }

// errNoFunctions is a module whose C_GetFunctionList returns nothing.
var errNoFunctions = errors.New("its C_GetFunctionList returns no functions")

// mapModule maps the module into the process; the reason of the system's loader is
// the error.
func mapModule(path string) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var reason *C.char
	switch {
	case C.load(name, &reason) != nil:
		return nil
	case reason == nil:
		return errLoader
	}
	return errors.New(C.GoString(reason))
}

var errLoader = errors.New("the system's loader refused it")

// directly calls the functions in the one list that miekg/pkcs11 got: a module may
// make another instance of itself for each C_GetFunctionList, as p11-kit-proxy.so and
// p11-kit-client.so do.
func directly(ctx *pkcs11.Ctx) (direct, error) {
	list := (*(**struct { // struct ctx of miekg/pkcs11
		handle unsafe.Pointer
		list   *C.struct_functions
	})(unsafe.Pointer(ctx))).list
	if list == nil {
		return direct{}, errNoFunctions
	}
	return direct{list}, nil
}

// login sends the PIN from where it is; nil for a PIN that is typed elsewhere.
func (d direct) login(s session, user uint, pin []byte) error {
	return result("C_Login", C.login(d.list, C.ck_ulong(s), C.ck_ulong(user), first(pin), C.ck_ulong(len(pin))))
}

// use calls C_Sign or C_Decrypt, whose answer has at most size bytes.
func (d direct) use(function string, number C.int, s session, data []byte, size int) ([]byte, error) {
	out := make([]byte, size)
	length := C.ck_ulong(size)
	err := result(function, C.use(d.list, number, C.ck_ulong(s), first(data), C.ck_ulong(len(data)), first(out), &length))
	if err != nil {
		return nil, err
	}
	return out[:min(int(length), size)], nil
}

func (d direct) sign(s session, data []byte, size int) ([]byte, error) {
	return d.use("C_Sign", C.SIGN, s, data, size)
}

func (d direct) decrypt(s session, data []byte, size int) ([]byte, error) {
	return d.use("C_Decrypt", C.DECRYPT, s, data, size)
}

func first(b []byte) *C.ck_byte { return (*C.ck_byte)(unsafe.Pointer(unsafe.SliceData(b))) }

func result(function string, rv C.ck_ulong) error {
	if rv == pkcs11.CKR_OK {
		return nil
	}
	return &CallError{Function: function, Code: Code(rv)}
}
