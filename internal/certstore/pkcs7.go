package certstore

import (
	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
)

// maxCertificates bounds the certificates of one file.
const maxCertificates = 10_000

// oidSignedData is RFC 2315, 14.
const oidSignedData = "1.2.840.113549.1.7.2"

// parsePKCS7 reads the certificates of a SignedData (RFC 2315, 9.1; RFC 5652, 5.1), in
// DER or BER. Its signatures do not count: a bundle of certificates has none.
func parsePKCS7(data []byte) ([]*cert.Certificate, error) {
	outer, _, err := ber.Read(data)
	if err != nil {
		return nil, damaged("the PKCS#7 file", err)
	}
	content, _ := outer.Elements(2)
	if len(content) != 2 || !content[1].IsContext(0) {
		return nil, damaged("the PKCS#7 file", ber.ErrMalformed)
	}
	if oid, err := content[0].ObjectIdentifier(); err != nil || oid.String() != oidSignedData {
		return nil, problem.New(problem.Mismatch, "the PKCS#7 file contains no certificate").
			Because("It is not signed data, but content of the type %s.", oid)
	}
	signed, _ := content[1].Elements(1)
	if len(signed) != 1 {
		return nil, damaged("the PKCS#7 file", ber.ErrMalformed)
	}
	const most = 6
	parts, err := signed[0].Elements(most)
	if err != nil {
		return nil, damaged("the PKCS#7 file", err)
	}
	var list []*cert.Certificate
	for _, part := range parts {
		if !part.IsContext(0) {
			continue
		}
		choices, err := part.Elements(maxCertificates)
		if err != nil {
			return nil, damaged("the PKCS#7 file", err)
		}
		for _, choice := range choices {
			if !choice.Is(ber.Sequence) {
				continue // an attribute certificate, RFC 5652, 10.2.2
			}
			c, err := cert.Parse(choice.Raw)
			if err != nil {
				return nil, damaged("a certificate in the PKCS#7 file", err)
			}
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, problem.New(problem.Mismatch, "the PKCS#7 file contains no certificate")
	}
	return list, nil
}
