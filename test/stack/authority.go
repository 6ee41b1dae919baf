package stack

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// Authority is a certificate authority made with openssl alone.
// Its certificate is the desk's ca.pem.
type Authority struct {
	desk *Desk
}

// Authority is the Snake Oil CA of this desk, made when it is first wanted.
func (d *Desk) Authority() *Authority {
	d.tb.Helper()
	if d.authority != nil {
		return d.authority
	}
	d.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
		"-subj", "/CN=Snake Oil CA/O=Snake Oil, Ltd/C=XY",
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	d.authority = &Authority{desk: d}
	return d.authority
}

// Sign issues a certificate for a request, both PEM, with the extensions the
// request asks for, and returns its path.
func (a *Authority) Sign(request string) string {
	a.desk.tb.Helper()
	certificate := request + ".pem"
	a.desk.Run("openssl", "x509", "-req", "-in", request, "-out", certificate, "-days", "7",
		"-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copyall")
	return certificate
}

// Server makes a key and a certificate for the server localhost, and returns their paths.
func (a *Authority) Server() (certificate, key string) {
	a.desk.tb.Helper()
	a.desk.Run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key",
		"-out", "server.csr", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth")
	return a.Sign(a.desk.Path("server.csr")), a.desk.Path("server.key")
}

// Certify issues a certificate for a public key, PEM, into a file.
func (a *Authority) Certify(publicKey, subject, certificate string) {
	a.desk.tb.Helper()
	a.desk.Run("openssl", "x509", "-new", "-force_pubkey", publicKey, "-subj", subject, "-out", certificate, "-days", "7",
		"-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
}

// ParseCertificate reads the first certificate of PEM.
func ParseCertificate(tb testing.TB, text []byte) *x509.Certificate {
	tb.Helper()
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		tb.Fatalf("no certificate in %q", text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	return certificate
}
