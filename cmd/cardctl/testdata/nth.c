/*
 * A PKCS#11 module that hands every call to a true one, which NTH_MODULE names, and
 * disturbs one of them: NTH=7:pulled-before. Later calls find the token gone where it was
 * pulled, and the tokens of the configuration NTH_CONFIG of SoftHSM2 where it was swapped.
 * The number of calls goes into the file NTH_CALLS.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef ulong (*function)(ulong, ulong, ulong, ulong, ulong, ulong, ulong, ulong);

enum { FUNCTIONS = 68, INITIALIZE = 0, FINALIZE = 1, LIST = 3 };
enum { GENERAL_ERROR = 5, FUNCTION_FAILED = 6, DEVICE_ERROR = 0x30, DEVICE_REMOVED = 0x32 };

static struct list {
	unsigned char major, minor;
	function function[FUNCTIONS];
} list, *true_list;

static int calls, at, gone;
static const char *deed = "";

static void count(void) {
	char text[16];
	const char *path = getenv("NTH_CALLS");
	FILE *file = path && *path ? fopen(path, "w") : NULL;
	if (!file)
		return;
	snprintf(text, sizeof text, "%d", calls);
	fputs(text, file);
	fclose(file);
}

/* The true module forgets its sessions, as that of a reader does when another card comes. */
static void swap(void) {
	setenv("SOFTHSM2_CONF", getenv("NTH_CONFIG"), 1);
	if (true_list->function[FINALIZE](0, 0, 0, 0, 0, 0, 0, 0) || true_list->function[INITIALIZE](0, 0, 0, 0, 0, 0, 0, 0))
		_exit(97);
}

static ulong pass(int f, ulong a, ulong b, ulong c, ulong d, ulong e, ulong g, ulong h, ulong i) {
	function call = true_list->function[f];
	if (f == INITIALIZE || f == FINALIZE)
		return call(a, b, c, d, e, g, h, i);
	if (gone)
		return DEVICE_REMOVED;
	calls++;
	count();
	if (calls == at && !strcmp(deed, "swapped"))
		swap();
	if (calls != at || !strcmp(deed, "swapped"))
		return call(a, b, c, d, e, g, h, i);
	if (!strcmp(deed, "pulled-after") || !strcmp(deed, "failed-after") || !strcmp(deed, "error-after"))
		call(a, b, c, d, e, g, h, i);
	gone = !strncmp(deed, "pulled", 6);
	if (gone)
		return DEVICE_REMOVED;
	return strncmp(deed, "failed", 6) ? DEVICE_ERROR : FUNCTION_FAILED;
}

#define T(n) static ulong t##n(ulong a, ulong b, ulong c, ulong d, ulong e, ulong f, ulong g, ulong h) { return pass(n, a, b, c, d, e, f, g, h); }
#define TEN(n) T(n##0) T(n##1) T(n##2) T(n##3) T(n##4) T(n##5) T(n##6) T(n##7) T(n##8) T(n##9)
T(0) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5)
T(60) T(61) T(62) T(63) T(64) T(65) T(66) T(67)
#define N(n) t##n##0, t##n##1, t##n##2, t##n##3, t##n##4, t##n##5, t##n##6, t##n##7, t##n##8, t##n##9
static const function through[FUNCTIONS] = {
	t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, N(1), N(2), N(3), N(4), N(5), t60, t61, t62, t63, t64, t65, t66, t67,
};

ulong C_GetFunctionList(struct list **out) {
	const char *order = getenv("NTH");
	void *module = dlopen(getenv("NTH_MODULE"), RTLD_NOW | RTLD_LOCAL);
	ulong (*get)(struct list **) = module ? (ulong (*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
	if (!get || get(&true_list))
		_exit(98);
	if (order && *order) {
		char *colon;
		at = (int)strtol(order, &colon, 10);
		deed = colon + 1;
	}
	list.major = true_list->major;
	list.minor = true_list->minor;
	memcpy(list.function, through, sizeof through);
	list.function[LIST] = true_list->function[LIST];
	*out = &list;
	return 0;
}
