package setup

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/cardctl/cardctl/internal/cert"
)

// eapServer lets one certificate log in by EAP-TLS (RFC 5216), to a RADIUS server on
// loopback (RFC 2865, RFC 3579), one client after the other. Its own certificate is of a
// CA that nobody else trusts.
type eapServer struct {
	authority []byte // the CA, in DER
	port      string

	config *tls.Config
	socket *net.UDPConn
	proved atomic.Bool // that the client has the key
	served sync.WaitGroup

	session *eapSession
}

// radiusSecret guards nothing: whoever has the key may log in.
const radiusSecret = "cardctl"

func newEAPServer(client *cert.Certificate) (*eapServer, error) {
	own, authority, err := certify()
	if err != nil {
		return nil, err
	}
	s := &eapServer{authority: authority, config: asksFor(client, own)}
	s.config.MaxVersion = tls.VersionTLS12 // in TLS 1.3 EAP-TLS is another protocol (RFC 9190)
	s.config.SessionTicketsDisabled = true
	if s.socket, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))); err != nil {
		return nil, err
	}
	s.port = strconv.Itoa(s.socket.LocalAddr().(*net.UDPAddr).Port)
	s.served.Go(s.serve)
	return s, nil
}

func (s *eapServer) close() {
	_ = s.socket.Close()
	s.served.Wait()
}

// serve answers requests. One that is repeated is answered again.
func (s *eapServer) serve() {
	defer func() { s.session.end() }()
	var last, answer []byte
	packet := make([]byte, 4096) // RFC 2865, 3
	for {
		n, from, err := s.socket.ReadFromUDPAddrPort(packet)
		if err != nil {
			return
		}
		if !bytes.Equal(packet[:n], last) {
			last = bytes.Clone(packet[:n])
			answer = s.answer(last)
		}
		if answer != nil {
			_, _ = s.socket.WriteToUDPAddrPort(answer, from)
		}
	}
}

// The codes of RADIUS, and its attributes.
const (
	accessRequest, accessAccept, accessReject, accessChallenge = 1, 2, 3, 11
	radiusHeader                                               = 20 // bytes

	eapMessage, messageAuthenticator = 79, 80
)

// answer is what a request gets; nil for nothing.
func (s *eapServer) answer(request []byte) []byte {
	message, is := eapOf(request)
	if !is {
		return nil
	}
	code, reply := s.step(message)
	if reply == nil {
		return nil
	}
	packet := append([]byte{code, request[1], 0, 0}, request[4:radiusHeader]...)
	const longest = 253 // bytes of an attribute
	for rest := reply; len(rest) > 0; rest = rest[min(longest, len(rest)):] {
		part := rest[:min(longest, len(rest))]
		packet = append(append(packet, eapMessage, byte(2+len(part))), part...)
	}
	packet = append(packet, messageAuthenticator, 2+md5.Size)
	at := len(packet)
	packet = append(packet, make([]byte, md5.Size)...)
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	mac := hmac.New(md5.New, []byte(radiusSecret))
	mac.Write(packet)
	copy(packet[at:], mac.Sum(nil))
	sum := md5.Sum(append(bytes.Clone(packet), radiusSecret...))
	copy(packet[4:radiusHeader], sum[:])
	return packet
}

// eapOf is the EAP message in a request.
func eapOf(request []byte) (message []byte, is bool) {
	if len(request) < radiusHeader || request[0] != accessRequest || int(binary.BigEndian.Uint16(request[2:])) != len(request) {
		return nil, false
	}
	for rest := request[radiusHeader:]; len(rest) > 0; rest = rest[rest[1]:] {
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return nil, false
		}
		if rest[0] == eapMessage {
			message = append(message, rest[2:rest[1]]...)
		}
	}
	return message, true
}

// The codes of EAP (RFC 3748), its types, and the flags of EAP-TLS.
const (
	eapRequest, eapResponse, eapSuccess, eapFailure = 1, 2, 3, 4
	eapHeader                                       = 5 // bytes, with the type

	typeIdentity, typeTLS = 1, 13

	lengthIncluded, moreFragments, tlsStart = 0x80, 0x40, 0x20
)

// step is the answer to a message of a client, and the code of RADIUS for it.
func (s *eapServer) step(message []byte) (code byte, reply []byte) {
	if len(message) < eapHeader || message[0] != eapResponse || int(binary.BigEndian.Uint16(message[2:])) != len(message) {
		return 0, nil
	}
	next := message[1] + 1
	switch {
	case message[4] == typeIdentity:
		s.session.end()
		s.session = s.begin()
		return accessChallenge, eapTLS(next, tlsStart, nil)
	case s.session == nil || message[4] != typeTLS || len(message) == eapHeader:
		return accessReject, eapEnd(eapFailure, message[1])
	}
	flags, data := message[eapHeader], message[eapHeader+1:]
	if flags&lengthIncluded != 0 {
		data = data[min(4, len(data)):]
	}
	flags, part, more := s.session.take(data, flags&moreFragments != 0)
	switch {
	case more:
		return accessChallenge, eapTLS(next, flags, part)
	case s.proved.Load():
		return accessAccept, eapEnd(eapSuccess, message[1])
	}
	return accessReject, eapEnd(eapFailure, message[1])
}

func eapTLS(id, flags byte, data []byte) []byte {
	return append([]byte{eapRequest, id, byte((eapHeader + 1 + len(data)) >> 8), byte(eapHeader + 1 + len(data)), typeTLS, flags}, data...)
}

func eapEnd(code, id byte) []byte { return []byte{code, id, 0, 4} }

// eapSession is one handshake.
type eapSession struct {
	*flights
	received, unsent []byte
}

func (s *eapServer) begin() *eapSession {
	f := &flights{in: make(chan []byte), out: make(chan []byte, 1)}
	go func() {
		defer close(f.out)
		if tls.Server(f, s.config).Handshake() == nil {
			s.proved.Store(true)
		}
		f.out <- f.written
	}()
	<-f.out // nothing before the client begins
	return &eapSession{flights: f}
}

// end has the handshake of a client that does not go on fail.
func (e *eapSession) end() {
	if e != nil {
		close(e.in)
	}
}

// take gives a fragment to the handshake, and returns the next one for the client. More
// is false when there is none any more.
func (e *eapSession) take(data []byte, unfinished bool) (flags byte, fragment []byte, more bool) {
	e.received = append(e.received, data...)
	if unfinished {
		return 0, nil, true
	}
	if len(e.unsent) == 0 && !e.exchange() {
		return 0, nil, false
	}
	const longest = 1000 // bytes, for any network
	fragment = e.unsent[:min(longest, len(e.unsent))]
	if e.unsent = e.unsent[len(fragment):]; len(e.unsent) > 0 {
		flags = moreFragments
	}
	return flags, fragment, true
}

// exchange gives the handshake what was received, and waits for what it answers. It
// reports whether there is something.
func (e *eapSession) exchange() bool {
	if len(e.received) == 0 { // it waits for more, or has ended
		return false
	}
	select {
	case e.in <- e.received:
		e.received = nil
		e.unsent = <-e.out
	case <-e.out: // it has ended
	}
	return len(e.unsent) > 0
}

// flights is a connection whose data goes to and fro in turns.
type flights struct {
	net.Conn      // of which a handshake uses nothing else
	in, out       chan []byte
	read, written []byte
}

// Read waits for the client, which gets what was written before.
func (f *flights) Read(p []byte) (int, error) {
	if len(f.read) == 0 {
		f.out <- f.written
		f.written = nil
		var more bool
		if f.read, more = <-f.in; !more {
			return 0, net.ErrClosed
		}
	}
	n := copy(p, f.read)
	f.read = f.read[n:]
	return n, nil
}

func (f *flights) Write(p []byte) (int, error) {
	f.written = append(f.written, p...)
	return len(p), nil
}
