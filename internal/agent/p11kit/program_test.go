package p11kit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/test/softtoken"
)

// program is a client that sends what a test says.
type program struct {
	t      testing.TB
	conn   net.Conn
	number uint32
	ended  chan error // what Serve returned
}

var someone = agent.Client{Door: "p11", Name: "test", PID: 7}

// connect begins a connection, without C_Initialize.
func connect(t testing.TB, cards *Cards) *program {
	t.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{t: t, conn: near, ended: make(chan error, 1)}
	go func() {
		p.ended <- Serve(ctx, far, cards, someone)
		_ = far.Close()
	}()
	t.Cleanup(func() {
		cancel()
		_ = near.Close()
	})
	_ = near.SetDeadline(time.Now().Add(time.Minute))
	if _, err := near.Write([]byte{2}); err != nil {
		t.Fatal(err)
	}
	answered := make([]byte, 1)
	if _, err := near.Read(answered); err != nil || answered[0] != 0 {
		t.Fatalf("version %d, %v", answered[0], err)
	}
	return p
}

// start begins a connection and initializes it.
func start(t testing.TB, cards *Cards) *program {
	t.Helper()
	p := connect(t, cards)
	p.ok("C_Initialize", []byte(handshake), byte(0), []byte{0})
	return p
}

type room uint32

// none is a byte array that is NULL.
type none struct{}

// request is the body of a call.
func request(name string, args ...any) []byte {
	number := slices.IndexFunc(calls[:], func(c call) bool { return c.name == name })
	w := begin(uint32(number), calls[number].request)
	for _, arg := range args {
		switch arg := arg.(type) {
		case int:
			w.ulong(uint64(arg))
		case uint64:
			w.ulong(arg)
		case byte:
			w.byte(arg)
		case []byte:
			w.array(arg)
		case none:
			w.byte(1)
			w.uint32(null)
		case room:
			w.uint32(uint32(arg))
		case []attribute:
			w.uint32(uint32(len(arg)))
			for _, a := range arg {
				w.attribute(a.kind, a.value, true)
			}
		case []wanted:
			w.uint32(uint32(len(arg)))
			for _, a := range arg {
				w.uint32(a.kind)
				w.uint32(a.room)
			}
		case mechanism:
			arg.write(w)
		}
	}
	return w.body
}

func (m mechanism) write(w *writer) {
	w.uint32(uint32(m.kind))
	switch {
	case slices.Contains(signsPSS, m.kind):
		w.ulong(m.hash)
		w.ulong(m.mgf)
		w.ulong(m.salt)
	case m.kind == ckmRSAPKCSOAEP:
		w.ulong(m.hash)
		w.ulong(m.mgf)
		w.ulong(m.source)
		w.bytes(m.label)
	case m.kind == ckmECDH1Derive:
		w.ulong(m.kdf)
		w.bytes(m.shared)
		w.bytes(m.public)
	case m.kind == ckmEDDSA:
		w.byte(0)
		w.uint32(null)
	case m.kind != null:
		w.uint32(null)
	}
}

func (p *program) send(body []byte) {
	p.t.Helper()
	p.number++
	if _, err := p.conn.Write(frame{p.number, body}.bytes()); err != nil {
		p.t.Fatal(err)
	}
}

// receive reads an answer, and returns what follows its signature.
func (p *program) receive() (number uint32, r *reader, code rv) {
	p.t.Helper()
	answer, err := readFrame(p.conn)
	if err != nil {
		p.t.Fatal(err)
	}
	r = &reader{data: answer.body}
	if id := r.uint32(); id == callError {
		r.bytes()
		return answer.number, nil, rv(r.ulong())
	} else if signature := string(r.bytes()); signature != calls[id].response {
		p.t.Fatalf("%s answers with signature %q", calls[id].name, signature)
	}
	return answer.number, r, ckrOK
}

func (p *program) call(name string, args ...any) (*reader, rv) {
	p.t.Helper()
	p.send(request(name, args...))
	number, r, code := p.receive()
	if number != p.number {
		p.t.Fatalf("%s: answer %d to request %d", name, number, p.number)
	}
	return r, code
}

// ok is a call that has to succeed.
func (p *program) ok(name string, args ...any) *reader {
	p.t.Helper()
	r, code := p.call(name, args...)
	if code != ckrOK {
		p.t.Fatalf("%s: 0x%X", name, uint64(code))
	}
	return r
}

// fails is a call that has to fail.
func (p *program) fails(want rv, name string, args ...any) {
	p.t.Helper()
	if _, code := p.call(name, args...); code != want {
		p.t.Errorf("%s: 0x%X, want 0x%X", name, uint64(code), uint64(want))
	}
}

// open opens a read-only session with the token in slot 1.
func (p *program) open() uint64 {
	p.t.Helper()
	return p.ok("C_OpenSession", 1, ckfSerialSession).ulong()
}

// find are the objects that a template finds.
func (p *program) find(session uint64, template ...attribute) []uint64 {
	p.t.Helper()
	p.ok("C_FindObjectsInit", session, template)
	found := p.ok("C_FindObjects", session, room(100)).list()
	p.ok("C_FindObjectsFinal", session)
	return found
}

// one is the only object that a template finds.
func (p *program) one(session uint64, class uint64, id byte) uint64 {
	p.t.Helper()
	found := p.find(session, number(ckaClass, class), attribute{ckaID, []byte{id}})
	if len(found) != 1 {
		p.t.Fatalf("%d objects of class %d with ID %d", len(found), class, id)
	}
	return found[0]
}

// list is an array of numbers.
func (r *reader) list() []uint64 {
	valid, n := r.byte(), r.uint32()
	if valid == 0 {
		return nil
	}
	list := []uint64{}
	for range n {
		list = append(list, r.ulong())
	}
	return list
}

// output is an array of bytes, or its length alone.
func (r *reader) output() (value []byte, length int) {
	if r.byte() == 0 {
		return nil, int(r.uint32())
	}
	value = r.bytes()
	return value, len(value)
}

// Keys that all tests share, by their IDs.
const (
	idRSA, idEC, idEd25519, idX25519, idP521 = 1, 2, 3, 4, 5
)

var keysOfTests = sync.OnceValue(func() []*softtoken.Key {
	private, _ := rsa.GenerateKey(rand.Reader, 2048)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	x, _ := ecdh.X25519().GenerateKey(rand.Reader)
	long, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "Floppy Head"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	certificate, _ := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	return []*softtoken.Key{
		{Private: private, What: agent.KeyAbout{ID: []byte{idRSA}, Label: "RSA", Public: private.Public(), Certificate: certificate, Signs: true, Decrypts: true, PSS: true}},
		{Private: ec, What: agent.KeyAbout{ID: []byte{idEC}, Label: "EC", Public: ec.Public(), Signs: true, Derives: true, Always: true}},
		{Private: ed, What: agent.KeyAbout{ID: []byte{idEd25519}, Label: "Ed25519", Public: ed.Public(), Signs: true}},
		{Private: x, What: agent.KeyAbout{ID: []byte{idX25519}, Label: "X25519", Public: x.Public(), Derives: true}},
		{Private: long, What: agent.KeyAbout{ID: []byte{idP521}, Label: "P-521", Public: long.Public(), Signs: true}},
	}
})

// private is a key of the tests.
func private[K crypto.PrivateKey](id int) K { return keysOfTests()[id-1].Private.(K) }

// newToken is a token with all keys.
func newToken(number uint64) *softtoken.Token {
	token := &softtoken.Token{What: agent.About{
		Number: number, Kind: "card", Serial: "0123456789ABCDEF42", Label: "A card", Maker: "Maker", Model: "Model", Reader: "Reader 0", MinPIN: 6, MaxPIN: 8,
	}}
	for _, key := range keysOfTests() {
		token.With(&softtoken.Key{What: key.What, Private: key.Private})
	}
	return token
}

// newCards is a desk with one token.
func newCards(o Options) (*Cards, *softtoken.Desk, *softtoken.Token) {
	token := newToken(1)
	desk := softtoken.New(token)
	return NewCards(desk, o), desk, token
}

// uses is how often the keys of a token were used.
func uses(token *softtoken.Token) int {
	_, n, _ := token.Counts()
	return n
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %X, want %X", what, got, want)
	}
}

// ulongOf is a number as an attribute has it.
func ulongOf(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
