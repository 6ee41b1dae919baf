package csr

import (
	"crypto/x509/pkix"

	"github.com/cardctl/cardctl/internal/cert"
)

// Again asks for what a certificate has: its subject as it is encoded, its alternative
// names and its usages (RFC 7030, 4.2.2).
func Again(c *cert.Certificate) Request {
	var r Request
	for _, list := range c.Subject {
		var own rdn
		for _, a := range list {
			own = append(own, attribute{oid: a.Type, value: a.Raw})
		}
		r.Subject.rdns = append(r.Subject.rdns, own)
	}
	for _, x := range c.Extensions {
		if x.ID.Equal(cert.OIDSubjectAltName) || x.ID.Equal(cert.OIDKeyUsage) || x.ID.Equal(cert.OIDExtKeyUsage) {
			r.Extensions = append(r.Extensions, pkix.Extension{Id: x.ID, Critical: x.Critical, Value: x.Value})
		}
	}
	return r
}
