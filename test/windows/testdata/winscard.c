// The smart-card library of Windows, for Wine: it passes every call to the relay of the
// test, which has PC/SC lite carry it out and keeps the rules of Windows. CARD_RELAY is
// the port of the relay on this machine.
//
// A context is a connection. A call is six numbers of 32 bits, the last of which is the
// number of bytes that follow; the answer is four, of which the first is the code that
// the function returns and the last the number of bytes that follow.

#define WINSCARDDATA // exported, not imported
#include <winsock2.h>
#include <windows.h>
#include <winscard.h>
#include <stdlib.h>
#include <string.h>

#define MANY 64
#define MOST 70000
#define NAME 128 // characters of the name of a reader

enum {
	ESTABLISH = 1, CANCEL, LIST, CHANGE, CONNECT, RECONNECT, DISCONNECT, BEGIN, END, STATUS, TRANSMIT, CONTROL
};

const SCARD_IO_REQUEST g_rgSCardT0Pci = {SCARD_PROTOCOL_T0, sizeof(SCARD_IO_REQUEST)};
const SCARD_IO_REQUEST g_rgSCardT1Pci = {SCARD_PROTOCOL_T1, sizeof(SCARD_IO_REQUEST)};
const SCARD_IO_REQUEST g_rgSCardRawPci = {SCARD_PROTOCOL_RAW, sizeof(SCARD_IO_REQUEST)};

// A reader on the wire.
struct reader {
	DWORD current, event, size;
	BYTE atr[36];
	WCHAR name[NAME];
};

static struct context {
	BOOL used;
	SOCKET line;
	DWORD number; // by which the relay knows it
	CRITICAL_SECTION turn;
} contexts[MANY];

static CRITICAL_SECTION table;

struct call {
	DWORD function, a, b, c, d, size;
};

struct answer {
	DWORD code, x, y, size;
};

BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, LPVOID reserved)
{
	WSADATA data;

	(void)library, (void)reserved;
	if (reason == DLL_PROCESS_ATTACH) {
		InitializeCriticalSection(&table);
		return WSAStartup(MAKEWORD(2, 2), &data) == 0;
	}
	return TRUE;
}

static BOOL all(SOCKET line, char *bytes, int size, BOOL sent)
{
	while (size > 0) {
		int n = sent ? send(line, bytes, size, 0) : recv(line, bytes, size, 0);
		if (n <= 0)
			return FALSE;
		bytes += n;
		size -= n;
	}
	return TRUE;
}

static SOCKET dial(void)
{
	const char *port = getenv("CARD_RELAY");
	struct sockaddr_in address = {0};
	SOCKET line = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port ? atoi(port) : 0);
	if (line != INVALID_SOCKET && connect(line, (struct sockaddr *)&address, sizeof(address)) != 0) {
		closesocket(line);
		return INVALID_SOCKET;
	}
	return line;
}

// ask makes a call. *size is the room for the answer, and then how long it is; where it
// does not fit, nothing is copied.
static LONG ask(SOCKET line, struct call call, const void *in, struct answer *answer, void *out, DWORD *size)
{
	DWORD room = size ? *size : 0;
	char *bytes;

	if (!all(line, (char *)&call, sizeof(call), TRUE) || !all(line, (char *)in, call.size, TRUE) ||
	    !all(line, (char *)answer, sizeof(*answer), FALSE) || answer->size > MOST)
		return SCARD_E_NO_SERVICE;
	bytes = malloc(answer->size + 1);
	if (!all(line, bytes, answer->size, FALSE)) {
		free(bytes);
		return SCARD_E_NO_SERVICE;
	}
	if (out && answer->size <= room)
		memcpy(out, bytes, answer->size);
	else if (out && answer->code == SCARD_S_SUCCESS)
		answer->code = SCARD_E_INSUFFICIENT_BUFFER;
	if (size)
		*size = answer->size;
	free(bytes);
	return answer->code;
}

// in_turn makes a call on a context, one at a time.
static LONG in_turn(DWORD context, struct call call, const void *in, struct answer *answer, void *out, DWORD *size)
{
	struct context *c = &contexts[context];
	LONG code;

	if (context >= MANY || !c->used)
		return SCARD_E_INVALID_HANDLE;
	EnterCriticalSection(&c->turn);
	code = ask(c->line, call, in, answer, out, size);
	LeaveCriticalSection(&c->turn);
	return code;
}

// The handle of a card has its context in the upper bits.
#define OF_CARD(card) ((DWORD)((card) >> 16))
#define NUMBER(card) ((DWORD)(card) & 0xFFFF)

// about_card makes a call that has no bytes, neither way.
static LONG about_card(SCARDHANDLE card, DWORD function, DWORD b)
{
	struct call call = {function, NUMBER(card), b, 0, 0, 0};
	struct answer answer;

	return in_turn(OF_CARD(card), call, NULL, &answer, NULL, NULL);
}

LONG WINAPI SCardEstablishContext(DWORD scope, LPCVOID reserved1, LPCVOID reserved2, LPSCARDCONTEXT context)
{
	struct call call = {ESTABLISH, scope, 0, 0, 0, 0};
	struct answer answer;
	SOCKET line = dial();
	LONG code;
	DWORD i;

	(void)reserved1, (void)reserved2;
	if (line == INVALID_SOCKET)
		return SCARD_E_NO_SERVICE;
	code = ask(line, call, NULL, &answer, NULL, NULL);
	EnterCriticalSection(&table);
	for (i = 1; i < MANY && contexts[i].used; i++)
		;
	if (code == SCARD_S_SUCCESS && i == MANY)
		code = SCARD_E_NO_MEMORY;
	if (code == SCARD_S_SUCCESS) {
		contexts[i].used = TRUE;
		contexts[i].line = line;
		contexts[i].number = answer.x;
		InitializeCriticalSection(&contexts[i].turn);
		*context = i;
	} else {
		closesocket(line);
	}
	LeaveCriticalSection(&table);
	return code;
}

LONG WINAPI SCardReleaseContext(SCARDCONTEXT context)
{
	if (context >= MANY || !contexts[context].used)
		return SCARD_E_INVALID_HANDLE;
	EnterCriticalSection(&table);
	closesocket(contexts[context].line); // the relay releases what it had
	DeleteCriticalSection(&contexts[context].turn);
	contexts[context].used = FALSE;
	LeaveCriticalSection(&table);
	return SCARD_S_SUCCESS;
}

LONG WINAPI SCardCancel(SCARDCONTEXT context)
{
	struct call call = {CANCEL, 0, 0, 0, 0, 0};
	struct answer answer;
	SOCKET line;
	LONG code;

	if (context >= MANY || !contexts[context].used)
		return SCARD_E_INVALID_HANDLE;
	if ((line = dial()) == INVALID_SOCKET)
		return SCARD_E_NO_SERVICE;
	call.a = contexts[context].number;
	code = ask(line, call, NULL, &answer, NULL, NULL);
	closesocket(line);
	return code;
}

LONG WINAPI SCardListReadersW(SCARDCONTEXT context, LPCWSTR groups, LPWSTR names, LPDWORD count)
{
	struct call call = {LIST, 0, 0, 0, 0, 0};
	struct answer answer;
	DWORD size = *count * sizeof(WCHAR);
	LONG code;

	(void)groups;
	code = in_turn(context, call, NULL, &answer, names, &size);
	*count = size / sizeof(WCHAR);
	return code;
}

LONG WINAPI SCardGetStatusChangeW(SCARDCONTEXT context, DWORD timeout, LPSCARD_READERSTATEW states, DWORD count)
{
	DWORD size = count * sizeof(struct reader), i;
	struct reader *list = calloc(count, sizeof(struct reader));
	struct call call = {CHANGE, timeout, count, 0, 0, size};
	struct answer answer;
	LONG code;

	for (i = 0; i < count; i++) {
		list[i].current = states[i].dwCurrentState;
		wcsncpy(list[i].name, states[i].szReader, NAME - 1);
	}
	code = in_turn(context, call, list, &answer, list, &size);
	for (i = 0; i < count && code == SCARD_S_SUCCESS; i++) {
		states[i].dwEventState = list[i].event;
		states[i].cbAtr = list[i].size;
		memcpy(states[i].rgbAtr, list[i].atr, sizeof(list[i].atr));
	}
	free(list);
	return code;
}

LONG WINAPI SCardConnectW(SCARDCONTEXT context, LPCWSTR reader, DWORD share, DWORD protocols, LPSCARDHANDLE card, LPDWORD protocol)
{
	struct call call = {CONNECT, share, protocols, 0, 0, wcslen(reader) * sizeof(WCHAR)};
	struct answer answer = {0};
	LONG code = in_turn(context, call, reader, &answer, NULL, NULL);

	*card = context << 16 | answer.x;
	*protocol = answer.y;
	return code;
}

LONG WINAPI SCardReconnect(SCARDHANDLE card, DWORD share, DWORD protocols, DWORD disposition, LPDWORD protocol)
{
	struct call call = {RECONNECT, NUMBER(card), share, protocols, disposition, 0};
	struct answer answer = {0};
	LONG code = in_turn(OF_CARD(card), call, NULL, &answer, NULL, NULL);

	*protocol = answer.y;
	return code;
}

LONG WINAPI SCardDisconnect(SCARDHANDLE card, DWORD disposition) { return about_card(card, DISCONNECT, disposition); }

LONG WINAPI SCardBeginTransaction(SCARDHANDLE card) { return about_card(card, BEGIN, 0); }

LONG WINAPI SCardEndTransaction(SCARDHANDLE card, DWORD disposition) { return about_card(card, END, disposition); }

LONG WINAPI SCardStatusW(SCARDHANDLE card, LPWSTR reader, LPDWORD length, LPDWORD state, LPDWORD protocol, LPBYTE atr, LPDWORD atr_size)
{
	struct call call = {STATUS, NUMBER(card), 0, 0, 0, 0};
	struct answer answer = {0};
	struct reader it = {0};
	DWORD size = sizeof(it);
	LONG code = in_turn(OF_CARD(card), call, NULL, &answer, &it, &size);
	DWORD room = length ? *length : 0, atr_room = atr_size ? *atr_size : 0;

	if (code != SCARD_S_SUCCESS)
		return code;
	if (state)
		*state = answer.x;
	if (protocol)
		*protocol = answer.y;
	if (length)
		*length = wcslen(it.name) + 2; // a list of names
	if (atr_size)
		*atr_size = it.size;
	if ((reader && room < *length) || (atr && atr_room < it.size))
		return SCARD_E_INSUFFICIENT_BUFFER;
	if (reader)
		memcpy(reader, it.name, *length * sizeof(WCHAR));
	if (atr)
		memcpy(atr, it.atr, it.size);
	return SCARD_S_SUCCESS;
}

LONG WINAPI SCardTransmit(SCARDHANDLE card, LPCSCARD_IO_REQUEST sent, LPCBYTE in, DWORD size, LPSCARD_IO_REQUEST received, LPBYTE out, LPDWORD room)
{
	struct call call = {TRANSMIT, NUMBER(card), sent->dwProtocol, 0, 0, size};
	struct answer answer;

	(void)received;
	return in_turn(OF_CARD(card), call, in, &answer, out, room);
}

LONG WINAPI SCardControl(SCARDHANDLE card, DWORD control, LPCVOID in, DWORD size, LPVOID out, DWORD room, LPDWORD returned)
{
	struct call call = {CONTROL, NUMBER(card), control, 0, 0, size};
	struct answer answer;

	*returned = room;
	return in_turn(OF_CARD(card), call, in, &answer, out, returned);
}
