package p11kit

import (
	"context"
	"encoding/binary"
)

// handler does a call, and writes its answer.
type handler func(c *client, ctx context.Context, a arguments, w *writer) rv

// inSession is a call whose first argument is a session. Its sessions end with the token.
func inSession(do func(c *client, ctx context.Context, s *session, a arguments, w *writer) rv) handler {
	return func(c *client, ctx context.Context, a arguments, w *writer) rv {
		s, code := c.session(ctx, a.numbers[0])
		if code != ckrOK {
			return code
		}
		if code = do(c, ctx, s, a, w); code == ckrDeviceRemoved {
			c.closeAll(s.slot.id)
		}
		return code
	}
}

// call is a function of PKCS #11. Signatures are those of rpc-message.h: u CK_ULONG, y a byte,
// s text padded with spaces, z text, v a version, A an attribute, M a mechanism, a an array, f
// a buffer that the client has.
type call struct {
	name, request, response string
	do                      handler
	refused                 rv    // what the answer is if there is no handler
	of                      named // what the first arguments name, if there is none
}

// named is what the first arguments of a call name.
type named int

const (
	ofSession named = iota
	ofSlot
	ofObject // a session, and an object
)

// The calls that are named elsewhere. An answer with callError is a CK_RV.
const (
	callError            = 0
	callInitialize       = 1
	callWaitForSlotEvent = 65
)

// calls are those of version 0, by their numbers.
var calls = [...]call{
	callInitialize: {name: "C_Initialize", request: "ayyay", do: (*client).initialize},
	2:              {name: "C_Finalize", do: (*client).finalize},
	3:              {name: "C_GetInfo", response: "vsusv", do: (*client).getInfo},
	4:              {name: "C_GetSlotList", request: "yfu", response: "au", do: (*client).getSlotList},
	5:              {name: "C_GetSlotInfo", request: "u", response: "ssuvv", do: (*client).getSlotInfo},
	6:              {name: "C_GetTokenInfo", request: "u", response: "ssssuuuuuuuuuuuvvs", do: (*client).getTokenInfo},
	7:              {name: "C_GetMechanismList", request: "ufu", response: "au", do: (*client).getMechanismList},
	8:              {name: "C_GetMechanismInfo", request: "uu", response: "uuu", do: (*client).getMechanismInfo},
	9:              {name: "C_InitToken", request: "uayz", of: ofSlot, refused: ckrTokenWriteProtected},
	10:             {name: "C_OpenSession", request: "uu", response: "u", do: (*client).openSession},
	11:             {name: "C_CloseSession", request: "u", do: inSession((*client).closeSession)},
	12:             {name: "C_CloseAllSessions", request: "u", do: (*client).closeAllSessions},
	13:             {name: "C_GetSessionInfo", request: "u", response: "uuuu", do: inSession((*client).getSessionInfo)},
	14:             {name: "C_InitPIN", request: "uay", refused: ckrTokenWriteProtected},
	15:             {name: "C_SetPIN", request: "uayay", refused: ckrTokenWriteProtected},
	16:             {name: "C_GetOperationState", request: "ufy", response: "ay", refused: ckrFunctionNotSupported},
	17:             {name: "C_SetOperationState", request: "uayuu", refused: ckrFunctionNotSupported},
	18:             {name: "C_Login", request: "uuay", do: inSession((*client).login)},
	19:             {name: "C_Logout", request: "u", do: inSession((*client).logout)},
	20:             {name: "C_CreateObject", request: "uaA", response: "u", refused: ckrTokenWriteProtected},
	21:             {name: "C_CopyObject", request: "uuaA", response: "u", of: ofObject, refused: ckrTokenWriteProtected},
	22:             {name: "C_DestroyObject", request: "uu", do: inSession((*client).destroyObject)},
	23:             {name: "C_GetObjectSize", request: "uu", response: "u", do: inSession((*client).getObjectSize)},
	24:             {name: "C_GetAttributeValue", request: "uufA", response: "aAu", do: inSession((*client).getAttributeValue)},
	25:             {name: "C_SetAttributeValue", request: "uuaA", of: ofObject, refused: ckrTokenWriteProtected},
	26:             {name: "C_FindObjectsInit", request: "uaA", do: inSession((*client).findObjectsInit)},
	27:             {name: "C_FindObjects", request: "ufu", response: "au", do: inSession((*client).findObjects)},
	28:             {name: "C_FindObjectsFinal", request: "u", do: inSession((*client).findObjectsFinal)},
	29:             {name: "C_EncryptInit", request: "uMu", do: inSession((*client).encryptInit)},
	30:             {name: "C_Encrypt", request: "uayfy", response: "ay", do: inSession((*client).encrypt)},
	31:             {name: "C_EncryptUpdate", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	32:             {name: "C_EncryptFinal", request: "ufy", response: "ay", refused: ckrFunctionNotSupported},
	33:             {name: "C_DecryptInit", request: "uMu", do: inSession((*client).decryptInit)},
	34:             {name: "C_Decrypt", request: "uayfy", response: "ay", do: inSession((*client).decrypt)},
	35:             {name: "C_DecryptUpdate", request: "uayfy", response: "ay", do: inSession((*client).decryptUpdate)},
	36:             {name: "C_DecryptFinal", request: "ufy", response: "ay", do: inSession((*client).decryptFinal)},
	37:             {name: "C_DigestInit", request: "uM", do: inSession((*client).digestInit)},
	38:             {name: "C_Digest", request: "uayfy", response: "ay", do: inSession((*client).digest)},
	39:             {name: "C_DigestUpdate", request: "uay", do: inSession((*client).digestUpdate)},
	40:             {name: "C_DigestKey", request: "uu", refused: ckrFunctionNotSupported},
	41:             {name: "C_DigestFinal", request: "ufy", response: "ay", do: inSession((*client).digestFinal)},
	42:             {name: "C_SignInit", request: "uMu", do: inSession((*client).signInit)},
	43:             {name: "C_Sign", request: "uayfy", response: "ay", do: inSession((*client).sign)},
	44:             {name: "C_SignUpdate", request: "uay", do: inSession((*client).signUpdate)},
	45:             {name: "C_SignFinal", request: "ufy", response: "ay", do: inSession((*client).signFinal)},
	46:             {name: "C_SignRecoverInit", request: "uMu", refused: ckrFunctionNotSupported},
	47:             {name: "C_SignRecover", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	48:             {name: "C_VerifyInit", request: "uMu", do: inSession((*client).verifyInit)},
	49:             {name: "C_Verify", request: "uayay", do: inSession((*client).verify)},
	50:             {name: "C_VerifyUpdate", request: "uay", do: inSession((*client).verifyUpdate)},
	51:             {name: "C_VerifyFinal", request: "uay", do: inSession((*client).verifyFinal)},
	52:             {name: "C_VerifyRecoverInit", request: "uMu", refused: ckrFunctionNotSupported},
	53:             {name: "C_VerifyRecover", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	54:             {name: "C_DigestEncryptUpdate", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	55:             {name: "C_DecryptDigestUpdate", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	56:             {name: "C_SignEncryptUpdate", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	57:             {name: "C_DecryptVerifyUpdate", request: "uayfy", response: "ay", refused: ckrFunctionNotSupported},
	58:             {name: "C_GenerateKey", request: "uMaA", response: "u", refused: ckrTokenWriteProtected},
	59:             {name: "C_GenerateKeyPair", request: "uMaAaA", response: "uu", refused: ckrTokenWriteProtected},
	60:             {name: "C_WrapKey", request: "uMuufy", response: "ay", refused: ckrFunctionNotSupported},
	61:             {name: "C_UnwrapKey", request: "uMuayaA", response: "u", refused: ckrFunctionNotSupported},
	62:             {name: "C_DeriveKey", request: "uMuaA", response: "u", do: inSession((*client).deriveKey)},
	63:             {name: "C_SeedRandom", request: "uay", do: inSession((*client).seedRandom)},
	64:             {name: "C_GenerateRandom", request: "ufy", response: "ay", do: inSession((*client).generateRandom)},

	callWaitForSlotEvent: {name: "C_WaitForSlotEvent", request: "u", response: "u", do: (*client).slotEvent},
}

// callOf is the number of the call that a request is for.
func callOf(request []byte) uint32 {
	r := reader{data: request}
	return r.uint32()
}

// decode reads a request: the number of the call, the signature that the client has of it, and
// the arguments.
func (c *client) decode(ctx context.Context, request []byte) (number uint32, a arguments, code rv) {
	r := reader{data: request}
	number = r.uint32()
	signature := r.bytes()
	switch {
	case r.failed || signature == nil || number == callError:
		return number, a, ckrDeviceError
	case number >= uint32(len(calls)): // of a later version
		return number, a, ckrFunctionNotSupported
	case string(signature) != calls[number].request:
		return number, a, ckrDeviceError
	case !c.initialized && number != callInitialize:
		return number, a, ckrCryptokiNotInitialized
	case calls[number].do == nil:
		return number, a, c.refuse(ctx, calls[number], r)
	}
	a, code = r.arguments(calls[number].request)
	return number, a, code
}

// refuse says why a call is not done: what its first arguments name is wrong in the first
// place.
func (c *client) refuse(ctx context.Context, one call, r reader) (code rv) {
	if one.of == ofSlot {
		_, code = c.cards.slot(ctx, r.ulong())
	} else {
		var s *session
		if s, code = c.session(ctx, r.ulong()); code == ckrOK && one.of == ofObject {
			_, code = c.object(ctx, s, r.ulong())
		}
	}
	if code != ckrOK {
		return code
	}
	return one.refused
}

// answer does a call.
func (c *client) answer(ctx context.Context, request []byte) []byte {
	number, a, code := c.decode(ctx, request)
	if code != ckrOK {
		return failure(code)
	}
	w := begin(number, calls[number].response)
	if code = calls[number].do(c, ctx, a, w); code != ckrOK {
		return failure(code)
	}
	return w.body
}

// begin begins an answer.
func begin(number uint32, signature string) *writer {
	w := &writer{body: binary.BigEndian.AppendUint32(nil, number)}
	w.bytes([]byte(signature))
	return w
}

func failure(code rv) []byte {
	w := begin(callError, "u")
	w.ulong(uint64(code))
	return w.body
}
