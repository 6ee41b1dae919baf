package certstore

import (
	"errors"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/cms"
	"github.com/cardctl/cardctl/internal/problem"
)

// maxCertificates bounds the certificates of one file.
const maxCertificates = 10_000

// parsePKCS7 reads the certificates of a SignedData (RFC 2315, 9.1; RFC 5652, 5.1), in
// DER or BER.
func parsePKCS7(data []byte) ([]*cert.Certificate, error) {
	list, err := cms.Certificates(data, maxCertificates)
	var other *cms.OtherContent
	switch {
	case errors.As(err, &other):
		return nil, problem.New(problem.Mismatch, "the PKCS#7 file contains no certificate").
			Because("It is not signed data, but content of the type %s.", other.Type)
	case err != nil:
		return nil, damaged("the PKCS#7 file", err)
	case len(list) == 0:
		return nil, problem.New(problem.Mismatch, "the PKCS#7 file contains no certificate")
	}
	return list, nil
}
