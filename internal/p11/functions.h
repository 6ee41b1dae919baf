// What the C code of this package shares: the function list of a module.

#include <dlfcn.h>
#include <stdlib.h>

typedef unsigned long ck_ulong;
typedef unsigned char ck_byte;

// CK_FUNCTION_LIST (PKCS#11 2.40, 5.4): the functions by their number in it.
struct functions {
	struct { ck_byte major, minor; } version;
	void *function[68];
};

// CK_ATTRIBUTE (PKCS#11 2.40, 3.4).
struct attribute {
	ck_ulong type;
	void *value;
	ck_ulong size;
};
