package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
)

// tlsServer is a web server on loopback that asks for one certificate. Its own is of a
// CA that nobody else trusts, and whose key is forgotten.
type tlsServer struct {
	authority []byte // the CA, in DER
	port      int

	server *http.Server
	served sync.WaitGroup

	mutex sync.Mutex
	seen  *tls.ConnectionState // of who had the certificate
	other bool                 // somebody else came
}

func newTLSServer(client *cert.Certificate) (*tlsServer, error) {
	s := &tlsServer{}
	own, authority, err := certify()
	if err != nil {
		return nil, err
	}
	s.authority = authority
	config := asksFor(client, own)
	config.VerifyConnection = func(state tls.ConnectionState) error { return s.verify(client, state) }
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return nil, err
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	s.server = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
	}
	s.served.Go(func() { _ = s.server.Serve(listener) })
	return s, nil
}

// asksFor has a server ask for one certificate, of a client with TLS 1.2 or newer.
func asksFor(client *cert.Certificate, own tls.Certificate) *tls.Config {
	// Programs offer certificates of the CAs that a server names.
	named := x509.NewCertPool()
	named.AddCert(&x509.Certificate{Raw: client.Raw, RawSubject: client.RawIssuer})
	return &tls.Config{
		Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert, ClientCAs: named, MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error { return sameCertificate(client, state) },
	}
}

// sameCertificate refuses other certificates. Whether the client has the key is proved
// after it.
func sameCertificate(client *cert.Certificate, state tls.ConnectionState) error {
	if client.Equal(&cert.Certificate{Raw: state.PeerCertificates[0].Raw}) {
		return nil
	}
	return errors.New("another certificate")
}

// verify notes that somebody else came.
func (s *tlsServer) verify(client *cert.Certificate, state tls.ConnectionState) error {
	err := sameCertificate(client, state)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.other = s.other || err != nil
	return err
}

// serve answers who has logged in.
func (s *tlsServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	s.seen = r.TLS
	s.mutex.Unlock()
	welcome(w, r)
}

// loggedIn is the connection of who had the certificate, nil for none.
func (s *tlsServer) loggedIn() *tls.ConnectionState {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.seen
}

func (s *tlsServer) close() {
	_ = s.server.Close()
	s.served.Wait()
}

// certify makes the certificate of a server on loopback, and the CA of it, in DER, for an
// hour.
func certify() (own tls.Certificate, authority []byte, err error) {
	serial := time.Now().UnixNano() // NSS has no two certificates with the same issuer and serial number
	template := func(name string) *x509.Certificate {
		serial++
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		}
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return own, nil, err
	}
	issuer := template("cardctl check")
	issuer.IsCA, issuer.KeyUsage = true, x509.KeyUsageCertSign
	if authority, err = x509.CreateCertificate(rand.Reader, issuer, issuer, authorityKey.Public(), authorityKey); err != nil {
		return own, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return own, nil, err
	}
	leaf := template("localhost")
	leaf.DNSNames, leaf.KeyUsage, leaf.ExtKeyUsage = []string{"localhost"}, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), authorityKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, authority, err
}

// serverIdentity writes such a certificate and its key to files, and returns the
// certificate, in DER.
func serverIdentity(certificate, key string) ([]byte, error) {
	own, _, err := certify()
	if err != nil {
		return nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		return nil, err
	}
	der := own.Certificate[0]
	return der, errors.Join(
		putFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		putFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain})),
	)
}

// freePorts are UDP ports of loopback on which nobody listens now.
func freePorts(n int) (ports []string, err error) {
	for range n {
		free, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = free.Close() }() // all at once, so that no two are one
		ports = append(ports, strconv.Itoa(free.LocalAddr().(*net.UDPAddr).Port))
	}
	return ports, nil
}

// until waits for a condition, a look each 50 milliseconds.
func until(ctx context.Context, holds func() bool) error {
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// welcome is the page that whoever logged in sees.
func welcome(w http.ResponseWriter, r *http.Request) {
	const page = "<!doctype html><meta charset=utf-8><title>Welcome</title><style>body{font:1.6em sans-serif;margin:3em}</style>" +
		"<h1>Welcome</h1><p>You logged in with the key of<br><b>%s</b></p>"
	w.Header().Set("Content-Type", "text/html")
	_, _ = fmt.Fprintf(w, page, html.EscapeString(r.TLS.PeerCertificates[0].Subject.String()))
}
