package stack

import "strings"

// Request is a certificate request as OpenSSL reads it.
type Request struct {
	Subject            string // in the order of the DER, "C=XY, OU=A + O=B"
	SignatureAlgorithm string
	PublicKey          string            // PEM
	Extensions         map[string]string // by OpenSSL's name of it, "critical" in front of the value
}

// VerifyRequest lets OpenSSL verify the signature of a request in PEM and
// returns its fields. Anything but "verify OK" fails the test.
func (d *Desk) VerifyRequest(pem string) Request {
	d.tb.Helper()
	result := d.TryInput(pem, "openssl", "req", "-verify", "-noout", "-text", "-nameopt", "sname,sep_comma_plus_space,utf8")
	if result.Exit != 0 || !strings.Contains(result.Stderr, "self-signature verify OK") {
		d.tb.Fatal(result)
	}
	request := parseText(result.Stdout)
	request.PublicKey = d.RunInput(pem, "openssl", "req", "-noout", "-pubkey")
	return request
}

// parseText reads what openssl prints with -text.
func parseText(text string) Request {
	r := Request{Extensions: map[string]string{}}
	extensions, extension := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case name == "Subject":
			r.Subject, extensions = value, false
		case name == "Signature Algorithm":
			r.SignatureAlgorithm, extensions = value, false
		case name == "Requested Extensions", name == "X509v3 extensions":
			extensions = true
		case extensions && extension == "":
			extension = name
			if value == "critical" {
				r.Extensions[extension] = "critical, "
			}
		case extensions:
			r.Extensions[extension] += line
			extension = ""
		}
	}
	return r
}
