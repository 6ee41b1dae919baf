// A PKCS#11 module for Windows with one token, which has ECDSA keys on P-256, and RSA keys
// of 2048 bits, which sign SHA-256. Windows makes the signatures. The token is the file that CARD_TOKEN names.
//
// On Windows a CK_ULONG has 4 bytes, and structures are packed (PKCS#11 2.40, 2.1).

#include <windows.h>
#include <bcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma pack(push, 1)

typedef unsigned long ulong;
typedef unsigned char byte;

struct attribute {
	ulong type;
	void *value;
	ulong size;
};

struct mechanism {
	ulong type;
	void *parameter;
	ulong size;
};

struct version {
	byte major, minor;
};

struct info {
	struct version cryptoki;
	byte manufacturer[32];
	ulong flags;
	byte description[32];
	struct version library;
};

struct slot_info {
	byte description[64], manufacturer[32];
	ulong flags;
	struct version hardware, firmware;
};

struct token_info {
	byte label[32], manufacturer[32], model[16], serial[16];
	ulong flags, counts[4], longest_pin, shortest_pin, memory[4];
	struct version hardware, firmware;
	byte time[16];
};

struct mechanism_info {
	ulong least, most, flags;
};

struct session_info {
	ulong slot, state, flags, error;
};

struct functions {
	struct version version;
	void *function[68];
};

#pragma pack(pop)

enum {
	OK = 0, SLOT_INVALID = 3, GENERAL_ERROR = 5, SENSITIVE = 0x11, TYPE_INVALID = 0x12, DATA_LENGTH = 0x21,
	MEMORY = 0x31, HANDLE_INVALID = 0x82, MECHANISM_INVALID = 0x70, NOT_SUPPORTED = 0x54,
	PIN_INCORRECT = 0xA0, LOGGED_IN = 0x100, NOT_LOGGED_IN = 0x101, BUFFER_TOO_SMALL = 0x150
};

enum { CLASS = 0, TOKEN = 1, PRIVATE = 2, VALUE = 0x11, KEY_TYPE = 0x100, SENSITIVE_KEY = 0x103, EXTRACTABLE = 0x162,
       LOCAL = 0x163, MODULUS = 0x120, MODULUS_BITS = 0x121, PUBLIC_EXPONENT = 0x122, NEVER_EXTRACTABLE = 0x164, ALWAYS_SENSITIVE = 0x165, EC_PARAMS = 0x180, EC_POINT = 0x181,
       KEY_BLOB = 0x80000001 };
enum { PUBLIC_KEY = 2, PRIVATE_KEY = 3 };
enum { RSA_KEY_PAIR_GEN = 0, RSA_PKCS = 1, EC_KEY_PAIR_GEN = 0x1040, ECDSA = 0x1041 };
enum { RSA_KEY = 0, EC_KEY = 3 };
enum { SO = 0, USER = 1 };

#define OBJECTS 16
#define ATTRIBUTES 32
#define LONGEST 2048

struct value {
	ulong type, size;
	byte bytes[LONGEST];
};

// The token as it is in its file.
static struct {
	ulong initialized, has_user_pin;
	byte label[32], pins[2][64];
	struct object {
		ulong count;
		struct value values[ATTRIBUTES];
	} objects[OBJECTS];
} token;

static BOOL logged_in;
static ulong sessions, user, next_found, search_count, sign_key, sign_how;
static struct value search[8];

static void padded(byte *field, size_t size, const char *text)
{
	memset(field, ' ', size);
	memcpy(field, text, strlen(text));
}

static FILE *file(const char *how)
{
	const char *name = getenv("CARD_TOKEN");
	return name ? fopen(name, how) : NULL;
}

static ulong save(void)
{
	FILE *f = file("wb");
	size_t written = f ? fwrite(&token, sizeof(token), 1, f) : 0;

	return f && fclose(f) == 0 && written == 1 ? OK : GENERAL_ERROR;
}

static struct value *find(struct object *o, ulong type)
{
	ulong i;

	for (i = 0; i < o->count; i++)
		if (o->values[i].type == type)
			return &o->values[i];
	return NULL;
}

static BOOL is(struct object *o, ulong type, ulong number)
{
	struct value *v = find(o, type);
	ulong got = 0;

	if (!v || v->size > sizeof(got))
		return FALSE;
	memcpy(&got, v->bytes, v->size);
	return got == number;
}

static ulong set(struct object *o, ulong type, const void *bytes, ulong size)
{
	struct value *v = find(o, type);

	if (size > LONGEST || (!v && o->count == ATTRIBUTES))
		return MEMORY;
	if (!v)
		v = &o->values[o->count++];
	v->type = type;
	v->size = size;
	memcpy(v->bytes, bytes, size);
	return OK;
}

static ulong flag(struct object *o, ulong type, byte on) { return set(o, type, &on, 1); }

// object is what a handle stands for, if it can be seen now.
static struct object *object(ulong handle)
{
	struct object *o = handle >= 1 && handle <= OBJECTS ? &token.objects[handle - 1] : NULL;

	return o && o->count && (logged_in || !is(o, PRIVATE, 1)) ? o : NULL;
}

static ulong new_object(struct attribute *template, ulong count, ulong *handle)
{
	ulong i, code = OK;

	for (i = 0; i < OBJECTS && token.objects[i].count; i++)
		;
	if (i == OBJECTS)
		return MEMORY;
	*handle = i + 1;
	for (; count > 0 && code == OK; template++, count--)
		code = set(&token.objects[i], template->type, template->value, template->size);
	return code;
}

static ulong unsupported(void) { return NOT_SUPPORTED; }

static ulong initialize(void *arguments)
{
	FILE *f = file("rb");

	(void)arguments;
	if (f) {
		if (fread(&token, sizeof(token), 1, f) != 1)
			memset(&token, 0, sizeof(token));
		fclose(f);
	}
	return OK;
}

static ulong finalize(void *reserved)
{
	(void)reserved;
	sessions = 0;
	logged_in = FALSE;
	return OK;
}

static ulong get_info(struct info *info)
{
	memset(info, 0, sizeof(*info));
	info->cryptoki.major = 2;
	info->cryptoki.minor = 40;
	padded(info->manufacturer, sizeof(info->manufacturer), "cardctl's tests");
	padded(info->description, sizeof(info->description), "Token for Windows");
	info->library.major = 1;
	return OK;
}

static ulong get_slot_list(byte with_token, ulong *list, ulong *count)
{
	(void)with_token;
	if (list && *count < 1)
		return BUFFER_TOO_SMALL;
	if (list)
		list[0] = 7;
	*count = 1;
	return OK;
}

static ulong get_slot_info(ulong slot, struct slot_info *info)
{
	if (slot != 7)
		return SLOT_INVALID;
	memset(info, 0, sizeof(*info));
	padded(info->description, sizeof(info->description), "Slot for Windows");
	padded(info->manufacturer, sizeof(info->manufacturer), "cardctl's tests");
	info->flags = 1; // a token is present
	return OK;
}

static ulong get_token_info(ulong slot, struct token_info *info)
{
	if (slot != 7)
		return SLOT_INVALID;
	memset(info, 0, sizeof(*info));
	padded(info->label, sizeof(info->label), "");
	if (token.initialized)
		memcpy(info->label, token.label, sizeof(info->label));
	padded(info->manufacturer, sizeof(info->manufacturer), "cardctl's tests");
	padded(info->model, sizeof(info->model), "Windows");
	padded(info->serial, sizeof(info->serial), "0123456789ABCDEF");
	info->flags = 1 | 4; // random numbers, login required
	if (token.has_user_pin)
		info->flags |= 8;
	if (token.initialized)
		info->flags |= 0x400;
	info->longest_pin = 63;
	info->shortest_pin = 4;
	return OK;
}

static ulong get_mechanism_list(ulong slot, ulong *list, ulong *count)
{
	if (slot != 7)
		return SLOT_INVALID;
	if (list && *count < 4)
		return BUFFER_TOO_SMALL;
	if (list) {
		list[0] = EC_KEY_PAIR_GEN;
		list[1] = ECDSA;
		list[2] = RSA_KEY_PAIR_GEN;
		list[3] = RSA_PKCS;
	}
	*count = 4;
	return OK;
}

static ulong get_mechanism_info(ulong slot, ulong type, struct mechanism_info *info)
{
	if (slot != 7)
		return SLOT_INVALID;
	if (type != EC_KEY_PAIR_GEN && type != ECDSA && type != RSA_KEY_PAIR_GEN && type != RSA_PKCS)
		return MECHANISM_INVALID;
	info->least = info->most = type == EC_KEY_PAIR_GEN || type == ECDSA ? 256 : 2048;
	info->flags = type == ECDSA || type == RSA_PKCS ? 0x800 : 0x10000; // sign, generate a key pair
	return OK;
}

static BOOL same_pin(const byte *pin, ulong size, ulong who)
{
	return size < sizeof(token.pins[0]) && strlen((char *)token.pins[who]) == size && memcmp(token.pins[who], pin, size) == 0;
}

static ulong set_new_pin(ulong who, const byte *pin, ulong size)
{
	if (size >= sizeof(token.pins[0]))
		return PIN_INCORRECT;
	memset(token.pins[who], 0, sizeof(token.pins[0]));
	memcpy(token.pins[who], pin, size);
	return save();
}

static ulong init_token(ulong slot, byte *pin, ulong size, byte *label)
{
	if (slot != 7)
		return SLOT_INVALID;
	if (token.initialized && !same_pin(pin, size, SO))
		return PIN_INCORRECT;
	memset(&token, 0, sizeof(token));
	token.initialized = 1;
	memcpy(token.label, label, sizeof(token.label));
	return set_new_pin(SO, pin, size);
}

static ulong init_pin(ulong session, byte *pin, ulong size)
{
	(void)session;
	if (!logged_in || user != SO)
		return NOT_LOGGED_IN;
	token.has_user_pin = 1;
	return set_new_pin(USER, pin, size);
}

static ulong set_pin(ulong session, byte *old, ulong old_size, byte *pin, ulong size)
{
	(void)session;
	if (!same_pin(old, old_size, USER))
		return PIN_INCORRECT;
	return set_new_pin(USER, pin, size);
}

static ulong begin_session(ulong slot, ulong flags, void *application, void *notify, ulong *session)
{
	(void)flags, (void)application, (void)notify;
	if (slot != 7)
		return SLOT_INVALID;
	*session = ++sessions;
	return OK;
}

static ulong close_session(ulong session)
{
	(void)session;
	if (sessions > 0 && --sessions == 0)
		logged_in = FALSE; // the last one ends the login (PKCS#11 2.40, 5.6)
	return OK;
}

static ulong get_session_info(ulong session, struct session_info *info)
{
	(void)session;
	memset(info, 0, sizeof(*info));
	info->slot = 7;
	info->state = !logged_in ? 2 : user == SO ? 4 : 3; // read and write: public, SO, user
	info->flags = 6;
	return OK;
}

static ulong login(ulong session, ulong who, byte *pin, ulong size)
{
	(void)session;
	if (logged_in)
		return LOGGED_IN;
	if (who > USER || !same_pin(pin, size, who))
		return PIN_INCORRECT;
	logged_in = TRUE;
	user = who;
	return OK;
}

static ulong logout(ulong session)
{
	(void)session;
	if (!logged_in)
		return NOT_LOGGED_IN;
	logged_in = FALSE;
	return OK;
}

static ulong create_object(ulong session, struct attribute *template, ulong count, ulong *handle)
{
	ulong code = new_object(template, count, handle);

	(void)session;
	return code == OK ? save() : code;
}

static ulong destroy_object(ulong session, ulong handle)
{
	struct object *o = object(handle);

	(void)session;
	if (!o)
		return HANDLE_INVALID;
	memset(o, 0, sizeof(*o));
	return save();
}

static ulong get_attributes(ulong session, ulong handle, struct attribute *list, ulong count)
{
	struct object *o = object(handle);
	ulong code = OK;

	(void)session;
	if (!o)
		return HANDLE_INVALID;
	for (; count > 0; list++, count--) {
		struct value *v = find(o, list->type);
		BOOL secret = list->type == KEY_BLOB || (list->type == VALUE && is(o, CLASS, PRIVATE_KEY));
		ulong trouble = secret ? SENSITIVE : !v ? TYPE_INVALID : list->value && list->size < v->size ? BUFFER_TOO_SMALL : OK;

		if (trouble != OK) {
			list->size = (ulong)-1;
			code = trouble;
			continue;
		}
		if (list->value)
			memcpy(list->value, v->bytes, v->size);
		list->size = v->size;
	}
	return code;
}

static ulong set_attributes(ulong session, ulong handle, struct attribute *list, ulong count)
{
	struct object *o = object(handle);
	ulong code = OK;

	(void)session;
	if (!o)
		return HANDLE_INVALID;
	for (; count > 0 && code == OK; list++, count--)
		code = set(o, list->type, list->value, list->size);
	return code == OK ? save() : code;
}

static ulong begin_search(ulong session, struct attribute *template, ulong count)
{
	ulong i;

	(void)session;
	if (count > 8)
		return MEMORY;
	for (i = 0; i < count; i++) {
		if (template[i].size > LONGEST)
			return MEMORY;
		search[i].type = template[i].type;
		search[i].size = template[i].size;
		memcpy(search[i].bytes, template[i].value, template[i].size);
	}
	search_count = count;
	next_found = 1;
	return OK;
}

static BOOL found(struct object *o)
{
	ulong i;

	for (i = 0; i < search_count; i++) {
		struct value *v = find(o, search[i].type);
		if (!v || v->size != search[i].size || memcmp(v->bytes, search[i].bytes, v->size) != 0)
			return FALSE;
	}
	return TRUE;
}

static ulong go_on_searching(ulong session, ulong *list, ulong room, ulong *count)
{
	(void)session;
	for (*count = 0; *count < room && next_found <= OBJECTS; next_found++)
		if (object(next_found) && found(object(next_found)))
			list[(*count)++] = next_found;
	return OK;
}

static ulong end_search(ulong session)
{
	(void)session;
	return OK;
}

static void release(BCRYPT_ALG_HANDLE algorithm, BCRYPT_KEY_HANDLE key)
{
	if (key)
		BCryptDestroyKey(key);
	if (algorithm)
		BCryptCloseAlgorithmProvider(algorithm, 0);
}

// make has Windows make a key: its algorithm, and its private half as a blob.
static ulong make(const wchar_t *name, ulong bits, const wchar_t *form, byte *blob, ulong room, ulong *size)
{
	BCRYPT_ALG_HANDLE algorithm = NULL;
	BCRYPT_KEY_HANDLE key = NULL;
	ulong code = OK;

	if (BCryptOpenAlgorithmProvider(&algorithm, name, NULL, 0) || BCryptGenerateKeyPair(algorithm, &key, bits, 0) ||
	    BCryptFinalizeKeyPair(key, 0) || BCryptExportKey(key, NULL, form, blob, room, size, 0))
		code = GENERAL_ERROR;
	release(algorithm, key);
	return code;
}

// describe_ec gives both halves their curve, and the public one its point.
static ulong describe_ec(struct object *public, struct object *private, const byte *blob)
{
	byte point[67] = {0x04, 65, 0x04}; // OCTET STRING of an uncompressed point
	struct value *curve = find(public, EC_PARAMS);

	if (!curve)
		return TYPE_INVALID;
	memcpy(point + 3, blob + sizeof(BCRYPT_ECCKEY_BLOB), 64);
	set(public, EC_POINT, point, sizeof(point));
	return set(private, EC_PARAMS, curve->bytes, curve->size);
}

static ulong describe_rsa(struct object *public, struct object *private, const byte *blob)
{
	const BCRYPT_RSAKEY_BLOB *head = (const BCRYPT_RSAKEY_BLOB *)blob;
	const byte *exponent = blob + sizeof(*head), *modulus = exponent + head->cbPublicExp;

	set(public, PUBLIC_EXPONENT, exponent, head->cbPublicExp);
	set(public, MODULUS, modulus, head->cbModulus);
	set(private, PUBLIC_EXPONENT, exponent, head->cbPublicExp);
	return set(private, MODULUS, modulus, head->cbModulus);
}

static ulong generate(ulong session, struct mechanism *how, struct attribute *public, ulong public_count,
                      struct attribute *private, ulong private_count, ulong *public_key, ulong *private_key)
{
	byte blob[LONGEST];
	ulong size = 0, code, type = how->type == RSA_KEY_PAIR_GEN ? RSA_KEY : EC_KEY;
	struct object *o, *its_public;

	(void)session;
	if (!logged_in)
		return NOT_LOGGED_IN;
	if (how->type != EC_KEY_PAIR_GEN && how->type != RSA_KEY_PAIR_GEN)
		return MECHANISM_INVALID;
	code = type == RSA_KEY ? make(BCRYPT_RSA_ALGORITHM, 2048, BCRYPT_RSAPRIVATE_BLOB, blob, sizeof(blob), &size) :
	                         make(BCRYPT_ECDSA_P256_ALGORITHM, 256, BCRYPT_ECCPRIVATE_BLOB, blob, sizeof(blob), &size);
	if (code != OK)
		return code;
	if ((code = new_object(public, public_count, public_key)) != OK ||
	    (code = new_object(private, private_count, private_key)) != OK)
		return code;
	its_public = &token.objects[*public_key - 1];
	o = &token.objects[*private_key - 1];
	code = type == RSA_KEY ? describe_rsa(its_public, o, blob) : describe_ec(its_public, o, blob);
	if (code != OK)
		return code;
	set(its_public, KEY_TYPE, &type, sizeof(type));
	set(o, KEY_TYPE, &type, sizeof(type));
	set(o, KEY_BLOB, blob, size);
	flag(o, LOCAL, 1);
	flag(o, NEVER_EXTRACTABLE, 1);
	flag(o, ALWAYS_SENSITIVE, 1);
	return save();
}

static ulong begin_sign(ulong session, struct mechanism *how, ulong key)
{
	(void)session;
	if (how->type != ECDSA && how->type != RSA_PKCS)
		return MECHANISM_INVALID;
	if (!object(key) || !find(object(key), KEY_BLOB) || !is(object(key), KEY_TYPE, how->type == ECDSA ? EC_KEY : RSA_KEY))
		return HANDLE_INVALID;
	sign_key = key;
	sign_how = how->type;
	return OK;
}

static ulong sign(ulong session, byte *data, ulong size, byte *signature, ulong *length)
{
	static const byte sha256[19] = {0x30, 49, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 32}; // RFC 8017, 9.2
	BCRYPT_PKCS1_PADDING_INFO padding = {BCRYPT_SHA256_ALGORITHM};
	BCRYPT_ALG_HANDLE algorithm = NULL;
	BCRYPT_KEY_HANDLE key = NULL;
	struct value *blob = object(sign_key) ? find(object(sign_key), KEY_BLOB) : NULL;
	BOOL rsa = sign_how == RSA_PKCS;
	ulong code = OK;

	(void)session;
	if (!blob)
		return HANDLE_INVALID;
	if (rsa && size == sizeof(sha256) + 32 && memcmp(data, sha256, sizeof(sha256)) == 0) {
		data += sizeof(sha256);
		size = 32;
	} else if (rsa || size != 32) {
		return DATA_LENGTH;
	}
	if (BCryptOpenAlgorithmProvider(&algorithm, rsa ? BCRYPT_RSA_ALGORITHM : BCRYPT_ECDSA_P256_ALGORITHM, NULL, 0) ||
	    BCryptImportKeyPair(algorithm, NULL, rsa ? BCRYPT_RSAPRIVATE_BLOB : BCRYPT_ECCPRIVATE_BLOB, &key, blob->bytes, blob->size, 0) ||
	    BCryptSignHash(key, rsa ? &padding : NULL, data, size, signature, *length, length, rsa ? BCRYPT_PAD_PKCS1 : 0))
		code = GENERAL_ERROR;
	release(algorithm, key);
	return code;
}

static struct functions list;

__declspec(dllexport) ulong C_GetFunctionList(struct functions **functions)
{
	static const struct {
		int number;
		void *function;
	} have[] = {
		{0, initialize}, {1, finalize}, {2, get_info}, {4, get_slot_list}, {5, get_slot_info}, {6, get_token_info},
		{7, get_mechanism_list}, {8, get_mechanism_info}, {9, init_token}, {10, init_pin}, {11, set_pin},
		{12, begin_session}, {13, close_session}, {15, get_session_info}, {18, login}, {19, logout},
		{20, create_object}, {22, destroy_object}, {24, get_attributes}, {25, set_attributes},
		{26, begin_search}, {27, go_on_searching}, {28, end_search}, {42, begin_sign}, {43, sign}, {59, generate},
	};
	size_t i;

	list.version.major = 2;
	list.version.minor = 40;
	for (i = 0; i < 68; i++)
		list.function[i] = unsupported;
	list.function[3] = C_GetFunctionList;
	for (i = 0; i < sizeof(have) / sizeof(have[0]); i++)
		list.function[have[i].number] = have[i].function;
	*functions = &list;
	return OK;
}
