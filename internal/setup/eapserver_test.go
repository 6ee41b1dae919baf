package setup

import (
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
)

// eapClient is a client of a RADIUS server, which logs in by EAP-TLS.
type eapClient struct {
	t      *testing.T
	socket net.Conn
	number byte
}

// ask sends a message of EAP, and returns the code of RADIUS and the message that
// answers. Each request is repeated, as if the answer had been lost.
func (c *eapClient) ask(message []byte) (code byte, reply []byte) {
	c.t.Helper()
	c.number++
	request := append([]byte{accessRequest, c.number, 0, 0}, make([]byte, 16)...)
	for rest := message; len(rest) > 0; rest = rest[min(200, len(rest)):] {
		part := rest[:min(200, len(rest))]
		request = append(append(request, eapMessage, byte(2+len(part))), part...)
	}
	request[2], request[3] = byte(len(request)>>8), byte(len(request))
	for range 2 {
		_, err := c.socket.Write(request)
		check(c.t, err)
		check(c.t, c.socket.SetReadDeadline(time.Now().Add(10*time.Second)))
		answer := make([]byte, 4096)
		n, err := c.socket.Read(answer)
		check(c.t, err)
		c.authentic(request, answer[:n])
		code = answer[0]
		reply, _ = eapOf(append([]byte{accessRequest}, answer[1:n]...))
	}
	return code, reply
}

// authentic compares the two digests of an answer.
func (c *eapClient) authentic(request, answer []byte) {
	c.t.Helper()
	asked := append(append(append([]byte{}, answer[:4]...), request[4:20]...), answer[20:]...)
	if sum := md5.Sum(append(append([]byte{}, asked...), radiusSecret...)); !hmac.Equal(sum[:], answer[4:20]) {
		c.t.Error("the authenticator of the answer is wrong")
	}
	at := len(asked) - md5.Size
	given := append([]byte{}, asked[at:]...)
	clear(asked[at:])
	mac := hmac.New(md5.New, []byte(radiusSecret))
	mac.Write(asked)
	if !hmac.Equal(mac.Sum(nil), given) {
		c.t.Error("the message authenticator is wrong")
	}
}

// logIn makes the handshake, and returns the last code of RADIUS.
func (c *eapClient) logIn(config *tls.Config) byte {
	c.t.Helper()
	code, reply := c.ask([]byte{eapResponse, 7, 0, 6, typeIdentity, 'x'})
	f := &flights{in: make(chan []byte), out: make(chan []byte, 1)}
	go func() {
		_ = tls.Client(f, config).Handshake()
		f.out <- f.written
		close(f.out)
	}()
	handshake := &eapSession{flights: f, unsent: <-f.out}
	defer handshake.end()
	const sent = 300 // bytes at once
	for flight := handshake.unsent; code == accessChallenge; {
		part := flight[:min(sent, len(flight))]
		flags := byte(0)
		if flight = flight[len(part):]; len(flight) > 0 {
			flags = moreFragments
		}
		message := eapTLS(reply[1], flags, part)
		message[0] = eapResponse
		code, reply = c.ask(message)
		if len(reply) <= eapHeader || len(flight) > 0 {
			continue
		}
		handshake.received = append(handshake.received, reply[eapHeader+1:]...)
		if reply[eapHeader]&moreFragments == 0 && handshake.exchange() {
			flight, handshake.unsent = handshake.unsent, nil
		}
	}
	return code
}

// TestEAPServer lets in whoever has the key of the certificate, and nobody else.
func TestEAPServer(t *testing.T) {
	own, other := clientIdentity(t), clientIdentity(t)
	stolen := tls.Certificate{Certificate: own.Certificate, PrivateKey: broken{other.PrivateKey.(crypto.Signer), own.PrivateKey.(crypto.Signer).Public()}}
	parsed, err := cert.Parse(own.Certificate[0])
	check(t, err)
	server, err := newEAPServer(parsed)
	check(t, err)
	defer server.close()
	socket, err := net.Dial("udp", "127.0.0.1:"+server.port)
	check(t, err)
	defer socket.Close()
	c := &eapClient{t: t, socket: socket}
	for _, nonsense := range []string{"", "x", string(make([]byte, 30)), "\x01\x02\x00\x16" + string(make([]byte, 16)) + "\x4f\x00", "\x01\x02\x00\x14" + string(make([]byte, 16))} {
		_, err := socket.Write([]byte(nonsense))
		check(t, err)
	}
	if code, _ := c.ask([]byte{eapResponse, 1, 0, 6, typeTLS, 0}); code != accessReject {
		t.Errorf("without an identity: code %d", code)
	}
	with := func(certificate tls.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }}
	}
	for name, config := range map[string]*tls.Config{"another certificate": with(other), "without its key": with(stolen), "no certificate": {InsecureSkipVerify: true}} {
		if code := c.logIn(config); code != accessReject || server.proved.Load() {
			t.Errorf("%s: code %d, proved: %v", name, code, server.proved.Load())
		}
	}
	if code, _ := c.ask([]byte{eapResponse, 7, 0, 6, typeIdentity, 'x'}); code != accessChallenge {
		t.Errorf("an identity: code %d", code)
	}
	if code, _ := c.ask([]byte{eapResponse, 8, 0, 6, 3, typeTLS}); code != accessReject {
		t.Errorf("another method: code %d", code)
	}
	if code := c.logIn(with(own)); code != accessAccept || !server.proved.Load() {
		t.Errorf("the certificate: code %d, proved: %v", code, server.proved.Load())
	}
}
