package enroll

import (
	"encoding/asn1"

	"github.com/cardctl/cardctl/internal/cert"
)

// subject is that of the request.
func (o *Order) subject() (cert.Name, error) { return o.Request.Subject.AsRead() }

// altNames are the alternative names of the request.
func (o *Order) altNames() ([]cert.GeneralName, error) {
	value := o.extension(cert.OIDSubjectAltName)
	if value == nil {
		return nil, nil
	}
	return cert.GeneralNames(value)
}

// purposes are the extended key usages of the request.
func (o *Order) purposes() ([]asn1.ObjectIdentifier, error) {
	value := o.extension(cert.OIDExtKeyUsage)
	if value == nil {
		return nil, nil
	}
	return cert.ExtKeyUsages(value)
}

// extension is the value of an extension of the request, which has each once; nil for none.
func (o *Order) extension(oid asn1.ObjectIdentifier) []byte {
	for _, x := range o.Request.Extensions {
		if x.Id.Equal(oid) {
			return x.Value
		}
	}
	return nil
}
