package stack

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// Request is a certificate request as OpenSSL and Go read it.
type Request struct {
	Subject            string // as in RFC 2253, the last RDN first
	SignatureAlgorithm x509.SignatureAlgorithm
	PublicKey          string            // PEM
	Extensions         map[string]string // the DER in hexadecimal, by OID; "critical " in front of that of critical ones
}

// VerifyRequest lets OpenSSL verify the signature of a request in PEM and returns its fields.
// It has a certificate issued, for openssl x509 fails where a signature does not verify.
func (d *Desk) VerifyRequest(text string) Request {
	d.tb.Helper()
	d.Authority()
	d.RunInput(text, "openssl", "x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "1")
	request := d.ReadRequest(text)
	subject := d.RunInput(text, "openssl", "req", "-noout", "-subject", "-nameopt", "RFC2253,utf8,-esc_msb")
	request.Subject = strings.TrimPrefix(strings.TrimSuffix(subject, "\n"), "subject=")
	request.PublicKey = d.RunInput(text, "openssl", "req", "-noout", "-pubkey")
	return request
}

// ReadRequest reads what a request in PEM has beside its subject and its key.
func (d *Desk) ReadRequest(text string) Request {
	d.tb.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		d.tb.Fatalf("no request in %q", text)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		d.tb.Fatal(err)
	}
	extensions := map[string]string{}
	for _, extension := range request.Extensions {
		value := fmt.Sprintf("%X", extension.Value)
		if extension.Critical {
			value = "critical " + value
		}
		extensions[extension.Id.String()] = value
	}
	return Request{SignatureAlgorithm: request.SignatureAlgorithm, Extensions: extensions}
}
