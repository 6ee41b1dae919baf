package p11kit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

func pipe(t testing.TB) (near, far net.Conn) {
	near, far = net.Pipe()
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	_ = near.SetDeadline(time.Now().Add(time.Minute))
	return near, far
}

// raw is a request whose arguments are what they are.
func raw(name string, arguments ...byte) []byte { return append(request(name), arguments...) }

func TestMalformedRequests(t *testing.T) {
	count := func(n uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 8), n) }
	deep := func(depth int) []byte {
		b := make([]byte, 8)
		for range depth {
			b = binary.BigEndian.AppendUint32(b, 1)
			b = binary.BigEndian.AppendUint32(b, ckaWrapTemplate)
			b = append(b, 1, 0, 0, 0, 0)
		}
		return binary.BigEndian.AppendUint32(b, 0)
	}
	for name, test := range map[string]struct {
		body []byte
		want rv
	}{
		"nothing":                  {nil, ckrDeviceError},
		"half a number":            {[]byte{0, 0}, ckrDeviceError},
		"the call for errors":      {begin(callError, "u").body, ckrDeviceError},
		"no signature":             {[]byte{0, 0, 0, 3}, ckrDeviceError},
		"a signature that is NULL": {[]byte{0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF}, ckrDeviceError},
		"another signature":        {begin(3, "uu").body, ckrDeviceError},
		"a long signature":         {[]byte{0, 0, 0, 3, 0x7F, 0xFF, 0xFF, 0xFF}, ckrDeviceError},
		"a call of version 1":      {begin(66, "uuayay").body, ckrFunctionNotSupported},
		"no such call":             {begin(1<<31, "").body, ckrFunctionNotSupported},
		"no arguments":             {raw("C_GetSlotInfo"), ckrDeviceError},
		"one byte too much":        {raw("C_GetSlotInfo", 0, 0, 0, 0, 0, 0, 0, 1, 0), ckrDeviceError},
		"many attributes":          {raw("C_FindObjectsInit", count(1<<31)...), ckrDeviceError},
		"one attribute too much":   {raw("C_FindObjectsInit", count(maxAttributes+1)...), ckrDeviceError},
		"deep attributes":          {raw("C_FindObjectsInit", deep(1000)...), ckrDeviceError},
		"rather deep attributes":   {raw("C_FindObjectsInit", deep(maxDepth)...), ckrSessionHandleInvalid},
		"many wanted":              {raw("C_GetAttributeValue", append(make([]byte, 8), count(1<<32-1)...)...), ckrDeviceError},
		"a cut mechanism":          {raw("C_SignInit", 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, ckmRSAPKCSPSS, 1), ckrDeviceError},
		"a long array":             {raw("C_SeedRandom", 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x7F, 0xFF, 0xFF, 0xFF), ckrDeviceError},
		"a long PIN":               {raw("C_Login", 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x7F, 0xFF, 0xFF, 0xFF), ckrDeviceError},
		"a session of nobody":      {request("C_Login", 1<<40, 1, none{}), ckrSessionHandleInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			cards, _, _ := newCards(Options{})
			p := start(t, cards)
			p.send(test.body)
			if _, _, code := p.receive(); code != test.want {
				t.Errorf("0x%X, want 0x%X", uint64(code), uint64(test.want))
			}
			p.ok("C_GetInfo") // the connection goes on
		})
	}
}

func TestHandshake(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := connect(t, cards)
	p.fails(ckrCryptokiNotInitialized, "C_GetSlotList", byte(0), room(0))
	p.fails(ckrCryptokiNotInitialized, "C_WaitForSlotEvent", 0)
	p.fails(ckrGeneralError, "C_Initialize", []byte("HTTP/1.1"), byte(0), []byte{0})
	p.ok("C_Initialize", []byte(handshake), byte(1), []byte("reserved"))
	p.fails(ckrCryptokiAlreadyInitialized, "C_Initialize", []byte(handshake), byte(0), []byte{0})
}

// Every function of PKCS #11 has an answer, and none changes the token. What is wrong with its
// slot, session or object comes first.
func TestWhatIsRefused(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	object := p.one(session, ckoPublicKey, idRSA)
	for number, call := range calls {
		if number == callError || call.do != nil {
			continue
		}
		if call.name == "C_InitToken" {
			p.fails(call.refused, call.name, 1)
			p.fails(ckrSlotIDInvalid, call.name, 99)
			continue
		}
		p.fails(call.refused, call.name, session, object)
		p.fails(ckrSessionHandleInvalid, call.name, session+1, object)
		if call.name == "C_CopyObject" || call.name == "C_SetAttributeValue" {
			p.fails(ckrObjectHandleInvalid, call.name, session, 99)
		}
	}
	for number, call := range calls {
		if number != callError && (call.name == "" || (call.do == nil) == (call.refused == ckrOK)) {
			t.Errorf("call %d is %s", number, call.name)
		}
	}
}

// Frames that are too long, or cut, end the connection, and cost no memory.
func TestMalformedFrames(t *testing.T) {
	header := func(options, length uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, 1)
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, options), length)
	}
	for name, data := range map[string][]byte{
		"a long body":       header(0, maxBody+1),
		"a very long body":  header(0, 1<<32-1),
		"long options":      header(maxOptions+1, 0),
		"a cut header":      header(0, 0)[:7],
		"a cut body":        append(header(0, 100), 1, 2, 3),
		"cut options":       append(header(100, 0), 1, 2, 3),
		"a body that waits": header(0, maxBody),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readFrame(bytes.NewReader(data))
			if !problem.Is(err, problem.Failed) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v", err)
			}
			if allocated := testing.AllocsPerRun(10, func() { _, _ = readFrame(bytes.NewReader(data)) }); allocated > 20 {
				t.Errorf("%v allocations", allocated)
			}
		})
	}
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	if _, err := p.conn.Write(header(0, maxBody+1)); err != nil {
		t.Fatal(err)
	}
	if err := p.end(); !problem.Is(err, problem.Failed) {
		t.Errorf("Serve returned %v", err)
	}
}

// Options are skipped, whatever they say.
func TestOptions(t *testing.T) {
	data := []byte{0, 0, 0, 9, 0, 0, 0, 3, 0, 0, 0, 2, 'a', 'b', 'c', 4, 5}
	got, err := readFrame(bytes.NewReader(data))
	if err != nil || got.number != 9 || !bytes.Equal(got.body, []byte{4, 5}) {
		t.Errorf("%v, %v", got, err)
	}
}
