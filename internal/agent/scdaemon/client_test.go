package scdaemon_test

import (
	"bufio"
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
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/scdaemon"
	"github.com/cardctl/cardctl/test/softtoken"
)

// client is the other end of a door.
type client struct {
	t     *testing.T
	conn  net.Conn
	r     *bufio.Reader
	ended chan error
}

var gpgAgent = agent.Client{Door: "scd", Name: "gpg-agent", PID: 4711}

// connect serves a client, which has read the greeting.
func connect(t *testing.T, tokens agent.Tokens, o scdaemon.Options) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &client{t: t, conn: ours, r: bufio.NewReader(ours), ended: make(chan error, 1)}
	go func() {
		c.ended <- scdaemon.Serve(t.Context(), theirs, tokens, gpgAgent, o)
		_ = theirs.Close()
	}()
	t.Cleanup(func() { _ = ours.Close() })
	if greeting := c.line(); !strings.HasPrefix(greeting, "OK ") {
		t.Fatal(greeting)
	}
	return c
}

func (c *client) send(line string) {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.conn.Write([]byte(line + "\n")); err != nil {
		c.t.Fatalf("%.80s: %v", line, err)
	}
}

func (c *client) line() string {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	if len(line) > 1000 {
		c.t.Errorf("a line of %d bytes", len(line))
	}
	return strings.TrimSuffix(line, "\n")
}

// ask sends a command, and returns the lines of the answer.
func (c *client) ask(command string) (lines []string) {
	c.t.Helper()
	c.send(command)
	for {
		line := c.line()
		lines = append(lines, line)
		if word, _, _ := strings.Cut(line, " "); word == "OK" || word == "ERR" {
			return lines
		}
	}
}

// says fails unless an answer is this, its lines joined by "; ".
func (c *client) says(command, want string) {
	c.t.Helper()
	if got := strings.Join(c.ask(command), "; "); got != want {
		c.t.Errorf("%.80s:\n got %s\nwant %s", command, got, want)
	}
}

// fails fails unless an answer is an error with this code.
func (c *client) fails(command string, code int) {
	c.t.Helper()
	lines := c.ask(command)
	if want := fmt.Sprintf("ERR %d ", 6<<24|code); len(lines) != 1 || !strings.HasPrefix(lines[0], want) {
		c.t.Errorf("%.80s: %q, want %s", command, lines, want)
	}
}

// data is what the data lines of a successful answer carry.
func (c *client) data(command string) []byte {
	c.t.Helper()
	lines := c.ask(command)
	if last := lines[len(lines)-1]; last != "OK" {
		c.t.Fatalf("%.80s: %s", command, last)
	}
	return unescaped(c.t, lines)
}

// unescaped is what data lines carry.
func unescaped(t *testing.T, lines []string) (data []byte) {
	t.Helper()
	for _, line := range lines {
		escaped, ok := strings.CutPrefix(line, "D ")
		for ok && len(escaped) > 0 {
			n := 1
			b := []byte{escaped[0]}
			if escaped[0] == '%' {
				n = 3
				var err error
				if b, err = hex.DecodeString(escaped[1:3]); err != nil {
					t.Fatal(err)
				}
			}
			data, escaped = append(data, b...), escaped[n:]
		}
	}
	return data
}

// set gives the data of the next command.
func (c *client) set(data []byte) {
	c.t.Helper()
	c.says("RESET", "OK")
	for len(data) > 0 {
		n := min(len(data), 400)
		c.says("SETDATA --append "+hex.EncodeToString(data[:n]), "OK")
		data = data[n:]
	}
}

// keys are one of each kind.
type keys struct {
	rsa     *rsa.PrivateKey
	p256    *ecdsa.PrivateKey
	p521    *ecdsa.PrivateKey
	ed25519 ed25519.PrivateKey
	x25519  *ecdh.PrivateKey
}

var private = sync.OnceValue(func() (k keys) {
	var errs [5]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.p256, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p521, errs[2] = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed25519, errs[3] = ed25519.GenerateKey(rand.Reader)
	k.x25519, errs[4] = ecdh.X25519().GenerateKey(rand.Reader)
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	return k
})

var made = time.Unix(1700000000, 0)

const aid = "D276000124010304FFFE000102030000"

// openPGP is a card with a key of each place.
func openPGP(t testing.TB) *softtoken.Token {
	k := private()
	id, err := hex.DecodeString(aid)
	if err != nil {
		t.Fatal(err)
	}
	token := &softtoken.Token{What: agent.About{Number: 1, Kind: "OpenPGP card", Serial: "FFFE00010203", Maker: "test + card", Reader: "Reader 00", AID: id, Tries: []int{3, 0, 3}, MinPIN: 6, MaxPIN: 127}}
	token.Has = map[uint32][]byte{
		0x5B: []byte("M\xFCller<Huber<<J\xF6rg"), 0x5E: []byte("floppy head"), 0x5F2D: []byte("deen"), 0x5F35: []byte("1"), 0x5F50: []byte("https://example.com/a+b%20c"),
		0x93: {0, 1, 2}, 0xD6: {2, ' '}, 0xF9: {0x81, 1, 0},
	}
	return token.With(
		&softtoken.Key{Private: k.rsa, What: agent.KeyAbout{Ref: "OPENPGP.1", Public: &k.rsa.PublicKey, Signs: true, Place: "signature", Created: made, Fingerprint: make([]byte, 20)}},
		&softtoken.Key{Private: k.p256, What: agent.KeyAbout{Ref: "OPENPGP.2", Public: &k.p256.PublicKey, Derives: true, Place: "decryption"}},
		&softtoken.Key{Private: k.ed25519, What: agent.KeyAbout{Ref: "OPENPGP.3", Public: k.ed25519.Public(), Signs: true, Place: "authentication"}},
	)
}

// other is a token of another kind.
func other(t testing.TB) *softtoken.Token {
	k := private()
	token := &softtoken.Token{What: agent.About{Number: 2, Kind: "PKCS#15 card", Serial: "0815", Label: "My card", Reader: "Reader 01"}}
	return token.With(
		&softtoken.Key{Private: k.p521, What: agent.KeyAbout{Ref: "PKCS15.45", Public: &k.p521.PublicKey, Signs: true, Derives: true, Certificate: certificate(t, k.p521, x509.KeyUsageDigitalSignature)}},
		&softtoken.Key{Private: k.rsa, What: agent.KeyAbout{Ref: "pkcs11:token=My%20card;id=%46", Public: &k.rsa.PublicKey, Signs: true, Decrypts: true}},
		&softtoken.Key{Private: k.x25519, What: agent.KeyAbout{Ref: "PKCS15.47", Public: k.x25519.PublicKey(), Derives: true}},
		&softtoken.Key{Private: k.p256, What: agent.KeyAbout{Ref: "PKCS15.48", Public: "of a kind that GnuPG does not know"}},
	)
}

func certificate(t testing.TB, signer crypto.Signer, usage x509.KeyUsage) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Alice"}, NotBefore: made, NotAfter: made.AddDate(30, 0, 0), KeyUsage: usage}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ends waits for the end of Serve.
func (c *client) ends() error {
	c.t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(10 * time.Second):
		c.t.Fatal("Serve does not end")
		return context.DeadlineExceeded
	}
}
