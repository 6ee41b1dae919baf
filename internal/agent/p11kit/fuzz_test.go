package p11kit

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/test/softtoken"
)

// FuzzServe lets a client say anything: after the version, and as a request in a session.
// Sessions, keys and attributes have numbers that a fuzzer finds.
func FuzzServe(f *testing.F) {
	first, private, public := uint64(firstHandle+1), 2, 1
	rsa := func(kind uint64) mechanism { return mechanism{kind: kind} }
	hello := request("C_Initialize", []byte(handshake), byte(0), []byte{0})
	open := request("C_OpenSession", 1, ckfSerialSession)
	for _, script := range [][][]byte{
		{request("C_GetInfo"), request("C_GetSlotList", byte(1), room(9)), request("C_GetSlotInfo", 1), request("C_GetTokenInfo", 1), request("C_GetMechanismList", 1, room(99)), request("C_GetMechanismInfo", 1, ckmECDSA)},
		{open, request("C_Login", first, ckuUser, none{}), request("C_GetSessionInfo", first), request("C_Logout", first), request("C_CloseSession", first), request("C_CloseAllSessions", 1), request("C_Finalize")},
		{open, request("C_FindObjectsInit", first, []attribute{number(ckaClass, ckoPrivateKey), {ckaID, []byte{idEC}}, truth(ckaToken, true), {ckaWrapTemplate, []byte{0, 0, 0, 0}}}), request("C_FindObjects", first, room(9)), request("C_FindObjectsFinal", first)},
		{open, request("C_GetAttributeValue", first, private, []wanted{{ckaClass, 8}, {ckaValue, 0}, {ckaECPoint, 100}, {ckaLabel, 1}}), request("C_GetObjectSize", first, private), request("C_DestroyObject", first, private)},
		{open, request("C_SignInit", first, rsa(ckmECDSA), private), request("C_Sign", first, make([]byte, 32), room(0)), request("C_Sign", first, make([]byte, 32), room(64))},
		{open, request("C_SignInit", first, rsa(ckmECDSASHA256), private), request("C_SignUpdate", first, message), request("C_SignFinal", first, room(64))},
		{open, request("C_VerifyInit", first, rsa(ckmECDSASHA1), public), request("C_VerifyUpdate", first, message), request("C_VerifyFinal", first, make([]byte, 64))},
		{open, request("C_VerifyInit", first, rsa(ckmECDSA), public), request("C_Verify", first, message, make([]byte, 64))},
		{open, request("C_DigestInit", first, rsa(ckmSHA256)), request("C_Digest", first, message, room(32)), request("C_DigestUpdate", first, message), request("C_DigestFinal", first, room(32))},
		{open, request("C_DeriveKey", first, mechanism{kind: ckmECDH1Derive, kdf: ckdNull, public: make([]byte, 65)}, private, []attribute{number(ckaValueLen, 16)}), request("C_GenerateRandom", first, room(8))},
		{open, request("C_EncryptInit", first, oaep(), public), request("C_Encrypt", first, message, room(512)), request("C_DecryptInit", first, oaep(), private), request("C_Decrypt", first, message, room(9)), request("C_DecryptUpdate", first, message, room(0)), request("C_DecryptFinal", first, room(9))},
		{request("C_WaitForSlotEvent", ckfDontBlock), request("C_WaitForSlotEvent", 0)},
	} {
		data := frame{1, hello}.bytes()
		for i, body := range script {
			data = append(data, frame{uint32(i) + 2, body}.bytes()...)
			f.Add(body)
		}
		f.Add(data)
	}
	f.Add(frame{1, hello}.bytes()[:20])
	token := (&softtoken.Token{What: agent.About{Number: 1}}).With(keysOfTests()[1]) // fast
	cards := NewCards(softtoken.New(token), Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s := &server{conn: silent{bytes.NewReader(data)}, client: newClient(cards, someone)}
		for {
			request, err := readFrame(s.conn)
			if err != nil {
				break
			}
			if err := s.answer(ctx, request); err != nil {
				t.Fatal(err)
			}
		}
		s.client = newClient(cards, someone)
		for _, body := range [][]byte{hello, open, data} {
			if err := s.answer(ctx, frame{body: body}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// silent is a connection whose other end reads everything.
type silent struct{ io.Reader }

func (silent) Write(p []byte) (int, error) { return len(p), nil }
