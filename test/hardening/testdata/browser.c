/*
 * What a browser does with a token: one process keeps the module loaded and a
 * session open, logs in, and signs again and again. Where a call fails it begins
 * anew. It prints "signed HEX" or "failed FUNCTION CODE" in each line.
 *
 * browser MODULE PIN ID-IN-HEX DIGEST-IN-HEX
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef unsigned char byte;

enum {
	INITIALIZE = 0, FINALIZE = 1, GET_SLOT_LIST = 4, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18,
	FIND_INIT = 26, FIND = 27, FIND_FINAL = 28, SIGN_INIT = 42, SIGN = 43,
};
enum { CKA_CLASS = 0, CKA_ID = 0x102, CKO_PRIVATE_KEY = 3, CKM_ECDSA = 0x1041, ALREADY_LOGGED_IN = 0x100 };

struct list {
	byte major, minor;
	ulong (*f[68])();
} *p11;

struct attribute { ulong type; void *value; ulong size; };
struct mechanism { ulong type; void *parameter; ulong size; };

static size_t unhex(const char *text, byte *out) {
	size_t n = 0;
	for (; sscanf(text, "%2hhx", &out[n]) == 1; text += 2)
		n++;
	return n;
}

static int failed(const char *function, ulong code) {
	if (code == 0)
		return 0;
	printf("failed %s %lx\n", function, code);
	fflush(stdout);
	return 1;
}

/* Find the key on any of the slots, logged in. */
static int begin(const char *pin, byte *id, ulong id_size, ulong *session, ulong *key) {
	ulong slots[16], count = 16, class = CKO_PRIVATE_KEY;
	if (failed("C_GetSlotList", p11->f[GET_SLOT_LIST]((byte)1, slots, &count)))
		return 0;
	for (ulong i = 0; i < count; i++) {
		struct attribute wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, id, id_size}};
		ulong found = 0;
		if (failed("C_OpenSession", p11->f[OPEN_SESSION](slots[i], 4UL, NULL, NULL, session)))
			return 0;
		ulong code = p11->f[LOGIN](*session, 1UL, pin, strlen(pin));
		if ((code == ALREADY_LOGGED_IN || !failed("C_Login", code)) &&
		    !failed("C_FindObjectsInit", p11->f[FIND_INIT](*session, wanted, 2UL))) {
			p11->f[FIND](*session, key, 1UL, &found);
			p11->f[FIND_FINAL](*session);
		}
		if (found)
			return 1;
		p11->f[CLOSE_SESSION](*session);
	}
	failed("C_FindObjects", 1);
	return 0;
}

int main(int argc, char **argv) {
	byte id[64], digest[64];
	if (argc != 5)
		return 2;
	void *module = dlopen(argv[1], RTLD_NOW);
	ulong (*get)(struct list **) = module ? (ulong (*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
	if (!get || get(&p11))
		return 3;
	ulong id_size = unhex(argv[3], id), digest_size = unhex(argv[4], digest);
	for (;;) {
		ulong session, key;
		if (!failed("C_Initialize", p11->f[INITIALIZE](NULL)) && begin(argv[2], id, id_size, &session, &key)) {
			for (;;) {
				struct mechanism ecdsa = {CKM_ECDSA, NULL, 0};
				byte signature[256];
				ulong size = sizeof signature;
				if (failed("C_SignInit", p11->f[SIGN_INIT](session, &ecdsa, key)) ||
				    failed("C_Sign", p11->f[SIGN](session, digest, digest_size, signature, &size)))
					break;
				printf("signed ");
				for (ulong i = 0; i < size; i++)
					printf("%02x", signature[i]);
				printf("\n");
				fflush(stdout);
				usleep(50000);
			}
		}
		p11->f[FINALIZE](NULL);
		usleep(100000);
	}
}
