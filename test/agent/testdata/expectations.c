/* Calls a PKCS #11 module as a suspicious program does, and prints what is not as the
 * standard has it. The token has a key for RSA and one for elliptic curves, and asks for PINs
 * itself. What p11-kit's client library answers itself is marked so. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CK_PTR *
#define CK_DEFINE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION_POINTER(type, name) type(*name)
#define CK_CALLBACK_FUNCTION(type, name) type(*name)
#define NULL_PTR NULL
#include "pkcs11.h"

static int wrong, checks, at;
static CK_FUNCTION_LIST *f;

static void is(int line, const char *call, CK_RV got, CK_RV want, CK_RV other) {
	checks++;
	if (got == want || got == other) return;
	wrong = 1;
	printf("line %d: %s is 0x%lx, not 0x%lx\n", line, call, got, want);
}
#define IS(want, call) EITHER(want, want, call)
#define EITHER(want, other, call) (at = __LINE__, is(__LINE__, #call, call, want, other))
#define OK(call) IS(CKR_OK, call)
#define HOLDS(what) is(__LINE__, #what, !(what), 0, 0)

#define NO_SESSION 0xDEADBEEF
#define NO_OBJECT 0xDEADBEEF
#define NO_SLOT 0xDEADBEEF

static CK_SLOT_ID slot;

static void uninitialized(void) {
	CK_INFO info;
	CK_ULONG n;
	CK_SLOT_INFO slot_info;
	CK_TOKEN_INFO token;
	CK_MECHANISM_INFO mechanism;
	CK_SESSION_HANDLE session;
	CK_BYTE bytes[8];
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_Finalize(NULL));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GetInfo(&info));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GetSlotList(CK_FALSE, NULL, &n));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GetSlotInfo(1, &slot_info));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GetTokenInfo(1, &token));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GetMechanismList(1, NULL, &n));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GetMechanismInfo(1, CKM_RSA_PKCS, &mechanism));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &session));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_CloseAllSessions(1));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_Login(1, CKU_USER, NULL, 0));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_SeedRandom(1, bytes, sizeof bytes));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_GenerateRandom(1, bytes, sizeof bytes));
	IS(CKR_CRYPTOKI_NOT_INITIALIZED, f->C_SetPIN(1, bytes, 4, bytes, 4));
}

static int padded(const CK_UTF8CHAR *text, size_t n) {
	return memchr(text, 0, n) == NULL;
}

static void slots(void) {
	CK_ULONG n = 0, more, count;
	CK_SLOT_ID list[32];
	CK_SLOT_INFO info;
	CK_TOKEN_INFO token;
	CK_SLOT_ID event;
	CK_INFO library;
	OK(f->C_GetInfo(&library));
	HOLDS(library.cryptokiVersion.major == 2 && library.cryptokiVersion.minor == 40);
	HOLDS(padded(library.manufacturerID, 32) && padded(library.libraryDescription, 32) && library.flags == 0);
	IS(CKR_ARGUMENTS_BAD, f->C_GetInfo(NULL)); /* of the library */
	IS(CKR_ARGUMENTS_BAD, f->C_GetSlotList(CK_FALSE, NULL, NULL)); /* of the library */
	OK(f->C_GetSlotList(CK_FALSE, NULL, &n));
	HOLDS(n == 2); /* one is free */
	more = 1;
	IS(CKR_BUFFER_TOO_SMALL, f->C_GetSlotList(CK_FALSE, list, &more));
	HOLDS(more == n);
	more = 32;
	OK(f->C_GetSlotList(CK_FALSE, list, &more));
	HOLDS(more == n);
	more = 32;
	OK(f->C_GetSlotList(CK_TRUE, list, &more));
	HOLDS(more == 1);
	slot = list[0];
	OK(f->C_GetSlotInfo(slot, &info));
	HOLDS(padded(info.slotDescription, 64) && padded(info.manufacturerID, 32));
	HOLDS((info.flags & CKF_TOKEN_PRESENT) && !(info.flags & ~(CK_FLAGS)(CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE | CKF_HW_SLOT)));
	IS(CKR_SLOT_ID_INVALID, f->C_GetSlotInfo(NO_SLOT, &info));
	IS(CKR_ARGUMENTS_BAD, f->C_GetSlotInfo(slot, NULL)); /* of the library */
	OK(f->C_GetTokenInfo(slot, &token));
	HOLDS(padded(token.label, 32) && padded(token.manufacturerID, 32) && padded(token.model, 16) && padded(token.serialNumber, 16));
	HOLDS(token.flags & CKF_PROTECTED_AUTHENTICATION_PATH && token.flags & CKF_WRITE_PROTECTED && token.flags & CKF_RNG);
	IS(CKR_SLOT_ID_INVALID, f->C_GetTokenInfo(NO_SLOT, &token));
	IS(CKR_TOKEN_NOT_PRESENT, f->C_GetTokenInfo(slot + 1, &token));
	IS(CKR_ARGUMENTS_BAD, f->C_GetTokenInfo(slot, NULL)); /* of the library */
	IS(CKR_NO_EVENT, f->C_WaitForSlotEvent(CKF_DONT_BLOCK, &event, NULL));
	IS(CKR_ARGUMENTS_BAD, f->C_GetMechanismList(slot, NULL, NULL)); /* of the library */
	IS(CKR_SLOT_ID_INVALID, f->C_GetMechanismList(NO_SLOT, NULL, &n));
	IS(CKR_TOKEN_NOT_PRESENT, f->C_GetMechanismList(slot + 1, NULL, &n));
	OK(f->C_GetMechanismList(slot, NULL, &count));
	CK_MECHANISM_TYPE mechanisms[64];
	n = count - 1;
	IS(CKR_BUFFER_TOO_SMALL, f->C_GetMechanismList(slot, mechanisms, &n));
	HOLDS(n == count);
	n = 64;
	OK(f->C_GetMechanismList(slot, mechanisms, &n));
	HOLDS(n > 0 && n <= count); /* the library leaves out those that it does not have */
	for (CK_ULONG i = 0; i < n; i++) {
		CK_MECHANISM_INFO m;
		OK(f->C_GetMechanismInfo(slot, mechanisms[i], &m));
		HOLDS(m.ulMinKeySize <= m.ulMaxKeySize && (m.flags & ~(CK_FLAGS)CKF_HW) != 0);
	}
	CK_MECHANISM_INFO m;
	IS(CKR_MECHANISM_INVALID, f->C_GetMechanismInfo(slot, CKM_VENDOR_DEFINED + 1, &m));
	IS(CKR_SLOT_ID_INVALID, f->C_GetMechanismInfo(NO_SLOT, CKM_RSA_PKCS, &m));
	IS(CKR_ARGUMENTS_BAD, f->C_GetMechanismInfo(slot, CKM_RSA_PKCS, NULL)); /* of the library */
	CK_UTF8CHAR label[32];
	memset(label, ' ', sizeof label);
	IS(CKR_SLOT_ID_INVALID, f->C_InitToken(NO_SLOT, label, 4, label));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_InitToken(slot, label, 4, label));
}

static void sessions(void) {
	CK_SESSION_HANDLE read, write, other;
	CK_SESSION_INFO info;
	IS(CKR_SESSION_PARALLEL_NOT_SUPPORTED, f->C_OpenSession(slot, 0, NULL, NULL, &read));
	IS(CKR_SLOT_ID_INVALID, f->C_OpenSession(NO_SLOT, CKF_SERIAL_SESSION, NULL, NULL, &read));
	IS(CKR_TOKEN_NOT_PRESENT, f->C_OpenSession(slot + 1, CKF_SERIAL_SESSION, NULL, NULL, &read));
	IS(CKR_ARGUMENTS_BAD, f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, NULL)); /* of the library */
	OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &read));
	OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &write));
	OK(f->C_GetSessionInfo(read, &info));
	HOLDS(info.slotID == slot && info.state == CKS_RO_PUBLIC_SESSION && info.flags == CKF_SERIAL_SESSION);
	OK(f->C_GetSessionInfo(write, &info));
	HOLDS(info.state == CKS_RW_PUBLIC_SESSION && info.flags == (CKF_SERIAL_SESSION | CKF_RW_SESSION));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GetSessionInfo(NO_SESSION, &info));
	IS(CKR_ARGUMENTS_BAD, f->C_GetSessionInfo(read, NULL)); /* of the library */
	IS(CKR_SESSION_HANDLE_INVALID, f->C_CloseSession(NO_SESSION));
	IS(CKR_SLOT_ID_INVALID, f->C_CloseAllSessions(NO_SLOT));
	/* The token asks for PINs. */
	CK_UTF8CHAR pin[] = "123456";
	IS(CKR_USER_NOT_LOGGED_IN, f->C_Logout(read));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_Login(NO_SESSION, CKU_USER, NULL, 0));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_Logout(NO_SESSION));
	IS(CKR_USER_TYPE_INVALID, f->C_Login(read, 4711, NULL, 0));
	IS(CKR_SESSION_READ_ONLY_EXISTS, f->C_Login(read, CKU_SO, pin, 6));
	IS(CKR_ARGUMENTS_BAD, f->C_Login(read, CKU_USER, pin, 6));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Login(read, CKU_CONTEXT_SPECIFIC, NULL, 0));
	OK(f->C_Login(read, CKU_USER, NULL, 0));
	IS(CKR_USER_ALREADY_LOGGED_IN, f->C_Login(write, CKU_USER, NULL, 0));
	IS(CKR_USER_ALREADY_LOGGED_IN, f->C_Login(write, CKU_USER, pin, 6));
	IS(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, f->C_Login(write, CKU_SO, pin, 6));
	OK(f->C_GetSessionInfo(read, &info));
	HOLDS(info.state == CKS_RO_USER_FUNCTIONS);
	OK(f->C_GetSessionInfo(write, &info));
	HOLDS(info.state == CKS_RW_USER_FUNCTIONS);
	OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &other)); /* is logged in, too */
	OK(f->C_GetSessionInfo(other, &info));
	HOLDS(info.state == CKS_RO_USER_FUNCTIONS);
	OK(f->C_Logout(write));
	OK(f->C_GetSessionInfo(other, &info));
	HOLDS(info.state == CKS_RO_PUBLIC_SESSION);
	OK(f->C_Login(other, CKU_USER, NULL, 0));
	OK(f->C_CloseAllSessions(slot));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GetSessionInfo(read, &info));
	OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &read)); /* the login has ended */
	OK(f->C_GetSessionInfo(read, &info));
	HOLDS(info.state == CKS_RO_PUBLIC_SESSION);
	OK(f->C_CloseSession(read));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_CloseSession(read));
	/* What changes a token is refused, after what is wrong in the first place. */
	OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &write));
	IS(CKR_USER_TYPE_INVALID, f->C_Login(write, CKU_SO, pin, 6)); /* nobody is the security officer here */
	IS(CKR_SESSION_HANDLE_INVALID, f->C_SetPIN(NO_SESSION, pin, 6, pin, 6));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_InitPIN(NO_SESSION, pin, 6));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_SetPIN(write, pin, 6, pin, 6));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_InitPIN(write, pin, 6));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GetOperationState(NO_SESSION, pin, &(CK_ULONG){6}));
	OK(f->C_CloseSession(write));
}

/* one is the only object that a template finds. */
static CK_OBJECT_HANDLE one(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, CK_KEY_TYPE kind) {
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &kind, sizeof kind}};
	CK_OBJECT_HANDLE found[4] = {0};
	CK_ULONG n = 0;
	OK(f->C_FindObjectsInit(session, template, 2));
	OK(f->C_FindObjects(session, found, 4, &n));
	HOLDS(n == 1);
	OK(f->C_FindObjectsFinal(session));
	return found[0];
}

static void objects(CK_SESSION_HANDLE session) {
	CK_OBJECT_HANDLE all[64], found[64];
	CK_ULONG n, count, size;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_FindObjects(session, found, 64, &n));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_FindObjectsFinal(session));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_FindObjectsInit(NO_SESSION, NULL, 0));
	IS(CKR_ARGUMENTS_BAD, f->C_FindObjectsInit(session, NULL, 1)); /* of the library */
	OK(f->C_FindObjectsInit(session, NULL, 0));
	IS(CKR_OPERATION_ACTIVE, f->C_FindObjectsInit(session, NULL, 0));
	IS(CKR_ARGUMENTS_BAD, f->C_FindObjects(session, found, 64, NULL)); /* of the library */
	IS(CKR_SESSION_HANDLE_INVALID, f->C_FindObjects(NO_SESSION, found, 64, &n));
	OK(f->C_FindObjects(session, all, 64, &count));
	HOLDS(count == 6); /* certificate, public and private key, twice */
	OK(f->C_FindObjects(session, found, 64, &n));
	HOLDS(n == 0);
	OK(f->C_FindObjectsFinal(session));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_FindObjectsFinal(session));
	OK(f->C_FindObjectsInit(session, NULL, 0)); /* one by one */
	for (CK_ULONG i = 0; i < count; i++) {
		OK(f->C_FindObjects(session, found, 1, &n));
		HOLDS(n == 1 && found[0] == all[i]);
		OK(f->C_GetObjectSize(session, found[0], &size));
	}
	OK(f->C_FindObjects(session, found, 1, &n));
	HOLDS(n == 0);
	OK(f->C_FindObjectsFinal(session));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_FindObjectsFinal(NO_SESSION));

	CK_BYTE buffer[4096];
	CK_OBJECT_CLASS class;
	CK_ATTRIBUTE label = {CKA_LABEL, buffer, sizeof buffer};
	CK_OBJECT_HANDLE public = one(session, CKO_PUBLIC_KEY, CKK_RSA), private = one(session, CKO_PRIVATE_KEY, CKK_RSA);
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GetAttributeValue(NO_SESSION, public, &label, 1));
	IS(CKR_OBJECT_HANDLE_INVALID, f->C_GetAttributeValue(session, NO_OBJECT, &label, 1));
	EITHER(CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCOMPLETE, f->C_GetAttributeValue(session, public, NULL, 1)); /* of the library */
	label.ulValueLen = 1;
	IS(CKR_BUFFER_TOO_SMALL, f->C_GetAttributeValue(session, public, &label, 1));
	HOLDS(label.ulValueLen == (CK_ULONG)-1);
	CK_ATTRIBUTE length = {CKA_LABEL, NULL, 0};
	OK(f->C_GetAttributeValue(session, public, &length, 1));
	HOLDS(length.ulValueLen == strlen("Signature key"));
	CK_ATTRIBUTE several[] = {{CKA_CLASS, &class, sizeof class}, {999, buffer, sizeof buffer}, {CKA_MODULUS, buffer, sizeof buffer}};
	IS(CKR_ATTRIBUTE_TYPE_INVALID, f->C_GetAttributeValue(session, public, several, 3));
	HOLDS(class == CKO_PUBLIC_KEY && several[1].ulValueLen == (CK_ULONG)-1 && several[2].ulValueLen == 256);
	CK_ATTRIBUTE secret = {CKA_PRIVATE_EXPONENT, buffer, sizeof buffer};
	IS(CKR_ATTRIBUTE_SENSITIVE, f->C_GetAttributeValue(session, private, &secret, 1));
	HOLDS(secret.ulValueLen == (CK_ULONG)-1);
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GetObjectSize(NO_SESSION, public, &size));
	IS(CKR_OBJECT_HANDLE_INVALID, f->C_GetObjectSize(session, NO_OBJECT, &size));
	IS(CKR_ARGUMENTS_BAD, f->C_GetObjectSize(session, public, NULL)); /* of the library */

	CK_ATTRIBUTE text = {CKA_LABEL, (void *)"new", 3};
	CK_OBJECT_HANDLE made;
	IS(CKR_SESSION_HANDLE_INVALID, f->C_CreateObject(NO_SESSION, &text, 1, &made));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_CreateObject(session, &text, 1, &made));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_CopyObject(NO_SESSION, public, &text, 1, &made));
	IS(CKR_OBJECT_HANDLE_INVALID, f->C_CopyObject(session, NO_OBJECT, &text, 1, &made));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_CopyObject(session, public, &text, 1, &made));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_SetAttributeValue(NO_SESSION, public, &text, 1));
	IS(CKR_OBJECT_HANDLE_INVALID, f->C_SetAttributeValue(session, NO_OBJECT, &text, 1));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_SetAttributeValue(session, public, &text, 1));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_DestroyObject(NO_SESSION, public));
	IS(CKR_OBJECT_HANDLE_INVALID, f->C_DestroyObject(session, NO_OBJECT));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_DestroyObject(session, public));
}

static void randomness(CK_SESSION_HANDLE session) {
	CK_BYTE a[1024], b[1024];
	OK(f->C_SeedRandom(session, a, 8));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_SeedRandom(NO_SESSION, a, 8));
	IS(CKR_ARGUMENTS_BAD, f->C_SeedRandom(session, NULL, 1)); /* of the library */
	OK(f->C_GenerateRandom(session, a, sizeof a));
	OK(f->C_GenerateRandom(session, b, sizeof b));
	HOLDS(memcmp(a, b, sizeof a) != 0);
	EITHER(CKR_OK, CKR_ARGUMENTS_BAD, f->C_GenerateRandom(session, a, 0));
	EITHER(CKR_ARGUMENTS_BAD, CKR_OK, f->C_GenerateRandom(session, NULL, 1)); /* of the library, which asks for none */
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GenerateRandom(NO_SESSION, a, 8));
}

static void digests(CK_SESSION_HANDLE session) {
	CK_MECHANISM none = {999, NULL, 0};
	CK_BYTE out[64], parts[64], data[] = "abc";
	CK_ULONG n;
	IS(CKR_MECHANISM_INVALID, f->C_DigestInit(session, &none));
	EITHER(CKR_ARGUMENTS_BAD, CKR_OK, f->C_DigestInit(session, NULL)); /* of the library; since 3.0 it cancels */
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_DigestUpdate(session, data, 1));
	n = sizeof out;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Digest(session, data, 3, out, &n));
	n = sizeof out;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_DigestFinal(session, out, &n));
	struct { CK_MECHANISM_TYPE type; CK_ULONG size; CK_BYTE first; } kinds[] = {
		{CKM_SHA_1, 20, 0xa9}, {CKM_SHA256, 32, 0xba}, {CKM_SHA384, 48, 0xcb}, {CKM_SHA512, 64, 0xdd}};
	for (int i = 0; i < 4; i++) {
		CK_MECHANISM m = {kinds[i].type, NULL, 0};
		CK_ULONG size = kinds[i].size;
		IS(CKR_SESSION_HANDLE_INVALID, f->C_DigestInit(NO_SESSION, &m));
		OK(f->C_DigestInit(session, &m));
		IS(CKR_OPERATION_ACTIVE, f->C_DigestInit(session, &m));
		OK(f->C_Digest(session, data, 3, NULL, &n));
		HOLDS(n == size);
		memset(out, 0xAB, sizeof out);
		n = 2;
		IS(CKR_BUFFER_TOO_SMALL, f->C_Digest(session, data, 3, out, &n));
		HOLDS(n == size && out[0] == 0xAB && out[3] == 0xAB);
		OK(f->C_Digest(session, data, 3, out, &n));
		HOLDS(n == size && out[0] == kinds[i].first);
		IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Digest(session, data, 3, out, &n));

		OK(f->C_DigestInit(session, &m)); /* in parts */
		OK(f->C_DigestUpdate(session, data, 0));
		OK(f->C_DigestUpdate(session, data, 1));
		IS(CKR_SESSION_HANDLE_INVALID, f->C_DigestUpdate(NO_SESSION, data, 1));
		n = sizeof parts;
		IS(CKR_OPERATION_ACTIVE, f->C_Digest(session, data, 3, parts, &n));
		OK(f->C_DigestUpdate(session, data + 1, 2));
		n = sizeof parts;
		IS(CKR_SESSION_HANDLE_INVALID, f->C_DigestFinal(NO_SESSION, parts, &n));
		OK(f->C_DigestFinal(session, NULL, &n));
		HOLDS(n == size);
		n = 1;
		IS(CKR_BUFFER_TOO_SMALL, f->C_DigestFinal(session, parts, &n));
		HOLDS(n == size);
		OK(f->C_DigestFinal(session, parts, &n));
		HOLDS(n == size && memcmp(out, parts, size) == 0);

		OK(f->C_DigestInit(session, &m)); /* begun with C_Digest */
		OK(f->C_Digest(session, data, 3, NULL, &n));
		n = sizeof out;
		IS(CKR_OPERATION_ACTIVE, f->C_DigestFinal(session, out, &n));
		n = sizeof out;
		IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Digest(session, data, 3, out, &n));

		OK(f->C_DigestInit(session, &m)); /* of nothing */
		n = sizeof out;
		OK(f->C_DigestFinal(session, out, &n));
	}
	IS(CKR_SESSION_HANDLE_INVALID, f->C_DigestKey(NO_SESSION, 1));
}

/* signatures of a key: one is made in one piece, and verified. */
static void signatures(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private, CK_OBJECT_HANDLE public, CK_MECHANISM_TYPE type, CK_ULONG size) {
	CK_MECHANISM m = {type, NULL, 0}, none = {999, NULL, 0};
	CK_BYTE data[32], out[512];
	CK_ULONG n = sizeof out;
	memset(data, 0x5A, sizeof data);
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Sign(session, data, 32, out, &n));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_SignUpdate(session, data, 32));
	n = sizeof out;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_SignFinal(session, out, &n));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_SignInit(NO_SESSION, &m, private));
	IS(CKR_KEY_HANDLE_INVALID, f->C_SignInit(session, &m, NO_OBJECT));
	IS(CKR_KEY_HANDLE_INVALID, f->C_SignInit(session, &m, public));
	IS(CKR_MECHANISM_INVALID, f->C_SignInit(session, &none, private));
	OK(f->C_SignInit(session, &m, private));
	IS(CKR_OPERATION_ACTIVE, f->C_SignInit(session, &m, private));
	OK(f->C_Sign(session, data, 32, NULL, &n));
	HOLDS(n == size);
	n = size - 1;
	IS(CKR_BUFFER_TOO_SMALL, f->C_Sign(session, data, 32, out, &n));
	HOLDS(n == size);
	IS(CKR_SESSION_HANDLE_INVALID, f->C_Sign(NO_SESSION, data, 32, out, &n));
	OK(f->C_Sign(session, data, 32, out, &n));
	HOLDS(n == size);
	CK_ULONG some = 4;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Sign(session, data, 32, out + size, &some));

	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Verify(session, data, 32, out, n));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_VerifyUpdate(session, data, 32));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_VerifyFinal(session, out, n));
	IS(CKR_KEY_HANDLE_INVALID, f->C_VerifyInit(session, &m, private));
	IS(CKR_KEY_HANDLE_INVALID, f->C_VerifyInit(session, &m, NO_OBJECT));
	OK(f->C_VerifyInit(session, &m, public));
	IS(CKR_OPERATION_ACTIVE, f->C_VerifyInit(session, &m, public));
	OK(f->C_Verify(session, data, 32, out, n));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Verify(session, data, 32, out, n));
	OK(f->C_VerifyInit(session, &m, public));
	IS(CKR_SIGNATURE_LEN_RANGE, f->C_Verify(session, data, 32, out, 4));
	OK(f->C_VerifyInit(session, &m, public));
	out[0]++;
	IS(CKR_SIGNATURE_INVALID, f->C_Verify(session, data, 32, out, n));
	OK(f->C_SignInit(session, &m, private)); /* begun with C_Sign */
	OK(f->C_Sign(session, data, 32, NULL, &n));
	IS(CKR_OPERATION_ACTIVE, f->C_SignFinal(session, out, &n));
	n = sizeof out;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Sign(session, data, 32, out, &n));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_SignRecoverInit(NO_SESSION, &m, private));
}

static void parts(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private, CK_OBJECT_HANDLE public) {
	CK_MECHANISM m = {CKM_SHA256_RSA_PKCS, NULL, 0};
	CK_BYTE data[100] = {1}, whole[256], out[256];
	CK_ULONG n = sizeof whole;
	OK(f->C_SignInit(session, &m, private));
	OK(f->C_Sign(session, data, 100, whole, &n));
	OK(f->C_SignInit(session, &m, private));
	OK(f->C_SignUpdate(session, data, 30));
	n = sizeof out;
	IS(CKR_OPERATION_ACTIVE, f->C_Sign(session, data, 100, out, &n));
	OK(f->C_SignUpdate(session, data + 30, 70));
	OK(f->C_SignFinal(session, NULL, &n));
	HOLDS(n == 256);
	n = 3;
	IS(CKR_BUFFER_TOO_SMALL, f->C_SignFinal(session, out, &n));
	OK(f->C_SignFinal(session, out, &n));
	HOLDS(memcmp(out, whole, 256) == 0);
	OK(f->C_VerifyInit(session, &m, public));
	OK(f->C_VerifyUpdate(session, data, 100));
	IS(CKR_OPERATION_ACTIVE, f->C_Verify(session, data, 100, out, n));
	OK(f->C_VerifyFinal(session, out, n));
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_VerifyFinal(session, out, n));
}

static void decryption(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private, CK_OBJECT_HANDLE public) {
	CK_MECHANISM m = {CKM_RSA_PKCS, NULL, 0};
	CK_BYTE data[] = "a secret", sealed[256], out[256];
	CK_ULONG n = sizeof sealed;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Encrypt(session, data, 8, sealed, &n));
	IS(CKR_KEY_HANDLE_INVALID, f->C_EncryptInit(session, &m, private));
	OK(f->C_EncryptInit(session, &m, public));
	IS(CKR_OPERATION_ACTIVE, f->C_EncryptInit(session, &m, public));
	OK(f->C_Encrypt(session, data, 8, NULL, &n));
	HOLDS(n == 256);
	n = 8;
	IS(CKR_BUFFER_TOO_SMALL, f->C_Encrypt(session, data, 8, sealed, &n));
	OK(f->C_Encrypt(session, data, 8, sealed, &n));
	n = sizeof out;
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Decrypt(session, sealed, 256, out, &n));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_DecryptInit(NO_SESSION, &m, private));
	IS(CKR_KEY_HANDLE_INVALID, f->C_DecryptInit(session, &m, public));
	OK(f->C_DecryptInit(session, &m, private));
	IS(CKR_OPERATION_ACTIVE, f->C_DecryptInit(session, &m, private));
	OK(f->C_Decrypt(session, sealed, 256, NULL, &n));
	HOLDS(n >= 8 && n <= 256);
	n = 3;
	IS(CKR_BUFFER_TOO_SMALL, f->C_Decrypt(session, sealed, 256, out, &n));
	HOLDS(n == 8);
	OK(f->C_Decrypt(session, sealed, 256, out, &n));
	HOLDS(n == 8 && memcmp(out, data, 8) == 0);
	IS(CKR_OPERATION_NOT_INITIALIZED, f->C_Decrypt(session, sealed, 256, out, &n));
	OK(f->C_DecryptInit(session, &m, private));
	n = sizeof out;
	IS(CKR_ENCRYPTED_DATA_LEN_RANGE, f->C_Decrypt(session, sealed, 255, out, &n));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_WrapKey(NO_SESSION, &m, public, private, NULL, &n));
	IS(CKR_SESSION_HANDLE_INVALID, f->C_DigestEncryptUpdate(NO_SESSION, data, 8, sealed, &n));
	CK_OBJECT_HANDLE made, two;
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GenerateKeyPair(NO_SESSION, &m, NULL, 0, NULL, 0, &made, &two));
	IS(CKR_TOKEN_WRITE_PROTECTED, f->C_GenerateKeyPair(session, &m, NULL, 0, NULL, 0, &made, &two));
}

/* crashed says where: a library that is called with NULL may fall. */
static void crashed(int signal) {
	char text[64];
	int n = snprintf(text, sizeof text, "signal %d after line %d\n", signal, at);
	(void)!write(1, text, n);
	_exit(2);
}

int main(int argc, char **argv) {
	void *module = dlopen(argv[argc - 1], RTLD_NOW);
	CK_RV (*list)(CK_FUNCTION_LIST **) = module ? dlsym(module, "C_GetFunctionList") : NULL;
	if (!list || list(&f) != CKR_OK) {
		printf("no module\n");
		return 1;
	}
	signal(SIGSEGV, crashed);
	signal(SIGABRT, crashed);
	uninitialized();
	CK_C_INITIALIZE_ARGS args = {0};
	IS(CKR_CANT_LOCK, f->C_Initialize(&args)); /* of the library, which needs locks of the system */
	args.flags = CKF_OS_LOCKING_OK;
	OK(f->C_Initialize(&args));
	OK(f->C_Finalize(NULL));
	OK(f->C_Initialize(&args));
	IS(CKR_ARGUMENTS_BAD, f->C_Finalize((void *)1)); /* of the library */
	slots();
	sessions();
	CK_SESSION_HANDLE session;
	OK(f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	objects(session);
	randomness(session);
	digests(session);
	signatures(session, one(session, CKO_PRIVATE_KEY, CKK_EC), one(session, CKO_PUBLIC_KEY, CKK_EC), CKM_ECDSA, 64);
	CK_OBJECT_HANDLE private = one(session, CKO_PRIVATE_KEY, CKK_RSA), public = one(session, CKO_PUBLIC_KEY, CKK_RSA);
	signatures(session, private, public, CKM_SHA256_RSA_PKCS, 256);
	parts(session, private, public);
	decryption(session, private, public);
	OK(f->C_Finalize(NULL));
	uninitialized();
	OK(f->C_Initialize(NULL)); /* again, without what was there */
	CK_SESSION_INFO info;
	IS(CKR_SESSION_HANDLE_INVALID, f->C_GetSessionInfo(session, &info));
	OK(f->C_Finalize(NULL));
	printf("%d checks\n", checks);
	return wrong;
}
