/*
 * A PKCS#11 module that hands every call to a true one, and misbehaves where it
 * is told to: HOSTILE=C_Sign:crash, by the name of a function of PKCS#11 2.40 and
 * what it does instead. HOSTILE_MODULE is the true module.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef ulong (*function)();

static const char *const names[] = {
	"C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo",
	"C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN", "C_OpenSession", "C_CloseSession",
	"C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState", "C_SetOperationState", "C_Login", "C_Logout",
	"C_CreateObject", "C_CopyObject", "C_DestroyObject", "C_GetObjectSize", "C_GetAttributeValue", "C_SetAttributeValue",
	"C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_EncryptInit", "C_Encrypt", "C_EncryptUpdate",
	"C_EncryptFinal", "C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal", "C_DigestInit", "C_Digest",
	"C_DigestUpdate", "C_DigestKey", "C_DigestFinal", "C_SignInit", "C_Sign", "C_SignUpdate", "C_SignFinal",
	"C_SignRecoverInit", "C_SignRecover", "C_VerifyInit", "C_Verify", "C_VerifyUpdate", "C_VerifyFinal",
	"C_VerifyRecoverInit", "C_VerifyRecover", "C_DigestEncryptUpdate", "C_DecryptDigestUpdate", "C_SignEncryptUpdate",
	"C_DecryptVerifyUpdate", "C_GenerateKey", "C_GenerateKeyPair", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey", "C_SeedRandom",
	"C_GenerateRandom", "C_GetFunctionStatus", "C_CancelFunction", "C_WaitForSlotEvent",
};

enum { FUNCTIONS = sizeof names / sizeof *names };

static struct list {
	unsigned char major, minor;
	function function[FUNCTIONS];
} list, *true_list;

struct attribute { ulong type; void *value; ulong size; };

static const ulong enormous = 0x7FFFFFFFFFFFFFF0;

static ulong crash() { return *(volatile int *)8; }
static ulong aborts() { abort(); }
static ulong leave() { exit(0); }
static ulong leave_at_once() { _exit(0); }
static ulong hang() {
	for (;;)
		sleep(1000);
	return 0;
}
static ulong recurse(ulong depth) {
	volatile char room[4096];
	room[depth % sizeof room] = 1;
	return recurse(depth + 1) + room[0];
}
static ulong refuse() { return 5; }
static ulong unheard() { return 0xDEADBEEF; }
static ulong nothing() { return 0; } /* success, and nothing is written */

/* Counts and lengths that no token has. */
static ulong many_slots(unsigned char present, ulong *slots, ulong *count) {
	(void)present, (void)slots;
	*count = enormous;
	return 0;
}
static ulong more_slots(unsigned char present, ulong *slots, ulong *count) {
	(void)present, (void)slots;
	*count = 100000000;
	return 0;
}
static ulong many_mechanisms(ulong slot, ulong *mechanisms, ulong *count) {
	(void)slot, (void)mechanisms;
	*count = enormous;
	return 0;
}
static ulong more_mechanisms(ulong slot, ulong *mechanisms, ulong *count) {
	(void)slot, (void)mechanisms;
	*count = 100000000;
	return 0;
}
static ulong many_objects(ulong session, ulong *objects, ulong most, ulong *count) {
	(void)session, (void)objects, (void)most;
	*count = enormous;
	return 0;
}
static ulong endless_objects(ulong session, ulong *objects, ulong most, ulong *count) {
	(void)session;
	for (ulong i = 0; i < most; i++)
		objects[i] = 1 + i;
	*count = most;
	return 0;
}
static ulong long_attributes(ulong session, ulong object, struct attribute *list, ulong count) {
	(void)session, (void)object;
	for (ulong i = 0; i < count; i++)
		list[i].size = enormous;
	return 0;
}
static ulong large_attributes(ulong session, ulong object, struct attribute *list, ulong count) {
	(void)session, (void)object;
	for (ulong i = 0; i < count; i++)
		list[i].size = 100000000;
	return 0;
}
static ulong long_answer(ulong session, void *in, ulong size, void *out, ulong *out_size) {
	(void)session, (void)in, (void)size, (void)out;
	*out_size = enormous;
	return 0;
}
/* A signature that is nearly right. */
static ulong nearly(ulong session, void *in, ulong size, unsigned char *out, ulong *out_size) {
	ulong code = true_list->function[43](session, in, size, out, out_size);
	if (!code && out && *out_size)
		out[*out_size - 1] ^= 1;
	return code;
}
static ulong garbage_info(void *info) {
	memset(info, 0xFF, 76);
	return 0;
}
static ulong garbage_slot(ulong slot, void *info) {
	(void)slot;
	memset(info, 0xFF, 104);
	return 0;
}
static ulong garbage_token(ulong slot, void *info) {
	(void)slot;
	memset(info, 0x1B, 208);
	return 0;
}

static const struct { const char *name; function function; } deeds[] = {
	{"crash", (function)crash}, {"abort", (function)aborts}, {"exit", (function)leave}, {"_exit", (function)leave_at_once}, {"hang", (function)hang},
	{"recurse", (function)recurse}, {"refuse", (function)refuse}, {"unheard", (function)unheard},
	{"nothing", (function)nothing}, {"many-slots", (function)many_slots}, {"more-slots", (function)more_slots},
	{"many-mechanisms", (function)many_mechanisms}, {"more-mechanisms", (function)more_mechanisms},
	{"many-objects", (function)many_objects}, {"endless-objects", (function)endless_objects},
	{"long-attributes", (function)long_attributes}, {"large-attributes", (function)large_attributes},
	{"long-answer", (function)long_answer}, {"nearly", (function)nearly}, {"garbage-info", (function)garbage_info}, {"garbage-slot", (function)garbage_slot},
	{"garbage-token", (function)garbage_token}, {"null", NULL},
};

/* Misbehave where HOSTILE names a function. */
static void misbehave(const char *order) {
	const char *colon = strchr(order, ':');
	for (int f = 0; colon && f < FUNCTIONS; f++) {
		if (strlen(names[f]) != (size_t)(colon - order) || strncmp(names[f], order, colon - order))
			continue;
		for (size_t d = 0; d < sizeof deeds / sizeof *deeds; d++)
			if (!strcmp(deeds[d].name, colon + 1)) {
				list.function[f] = deeds[d].function;
				return;
			}
	}
	fprintf(stderr, "hostile: cannot do %s\n", order);
	_exit(99);
}

/* Write to standard output now and then. */
static void *chatter(void *unused) {
	for (;; usleep(1000)) {
		printf("noise of the module\n");
		fflush(stdout);
	}
	return unused;
}

/* Change what belongs to the program, where HOSTILE_NOISE says so. */
static void disturb(void) {
	pthread_t thread;
	if (getenv("HOSTILE_NOISE") && !chdir("/")) {
		umask(0);
		pthread_create(&thread, NULL, chatter, NULL);
	}
}

ulong C_GetFunctionList(struct list **out) {
	const char *order = getenv("HOSTILE");
	disturb();
	void *module = dlopen(getenv("HOSTILE_MODULE"), RTLD_NOW | RTLD_LOCAL);
	ulong (*get)(struct list **) = module ? (ulong (*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
	if (!get || get(&true_list))
		_exit(98);
	list = *true_list;
	if (order && !strncmp(order, "C_GetFunctionList:", 18)) {
		misbehave(order);
		if (!list.function[3]) {
			*out = NULL;
			return 0;
		}
		return list.function[3](0);
	}
	if (order && *order)
		misbehave(order);
	*out = &list;
	return 0;
}
