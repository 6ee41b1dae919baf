//go:build cgo && !windows

package p11

// #include <stdlib.h>
import "C"

import "unsafe"

// The environment of the C library is what modules see, and not what programs are
// started with: those get Go's.

func setForModules(name, value string) {
	n, v := C.CString(name), C.CString(value)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(v))
	C.setenv(n, v, 1)
}

func unsetForModules(name string) {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	C.unsetenv(n)
}
