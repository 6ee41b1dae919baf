// Package certstore brings certificates from files to a card and back: it reads
// PEM, DER, PKCS#7 and PKCS#12, finds the certificate that belongs to a key,
// checks it before it is written and compares it afterwards. Reading and
// writing files, and asking for confirmation, are left to its callers.
package certstore

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// MaxFile is the greatest length in bytes of a file that Parse reads.
const MaxFile = 1 << 20

// Parse reads the certificates of a file, in their order in it: PEM with text
// around it, DER, PKCS#7 in both, or PKCS#12, told apart by what is in the file
// and not by its name. The password of a PKCS#12 file is asked for where the
// empty one does not open it. A file that is something else, or cut off, or
// that the password does not open, is a problem.Mismatch.
func Parse(ctx context.Context, data []byte, ask secret.Asker) ([]*cert.Certificate, error) {
	switch {
	case len(data) > MaxFile:
		return nil, problem.New(problem.Mismatch, "the file is too large to be a certificate").
			Because("The file is longer than %d bytes.", MaxFile)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, problem.New(problem.Mismatch, "the file is empty")
	case bytes.Contains(data, []byte(pemBegin)):
		return parsePEM(ctx, data)
	}
	return parseDER(ctx, data, ask)
}

// pemBegin is in every PEM file, RFC 7468, 3.
const pemBegin = "-----BEGIN "

func parsePEM(ctx context.Context, data []byte) ([]*cert.Certificate, error) {
	var certificates []*cert.Certificate
	var others []string
	blocks := 0
	for block, rest := pem.Decode(withoutBOM(data)); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			list, err := parseCertificates(block.Bytes, fmt.Sprintf("PEM block %d", blocks))
			if err != nil {
				return nil, err
			}
			certificates = append(certificates, list...)
		case "PKCS7", "CMS", "PKCS #7 SIGNED DATA":
			list, err := parsePKCS7(block.Bytes)
			if err != nil {
				return nil, err
			}
			certificates = append(certificates, list...)
		default:
			if name := nameOfPEM(block.Type); !slices.Contains(others, name) {
				others = append(others, name)
			}
		}
	}
	switch {
	case blocks < bytes.Count(data, []byte(pemBegin)):
		return nil, problem.New(problem.Mismatch, "a PEM block of the file is damaged or incomplete").
			Because("%d of its %d blocks can be read.", blocks, bytes.Count(data, []byte(pemBegin)))
	case len(certificates) == 0:
		return nil, notACertificate(strings.Join(others, " and "))
	}
	return certificates, nil
}

func withoutBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")) }

func parseDER(ctx context.Context, data []byte, ask secret.Asker) ([]*cert.Certificate, error) {
	kind, err := identify(data)
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindPKCS7:
		return parsePKCS7(data)
	case kindPKCS12:
		contents, err := pkcs12.Open(ctx, data, ask)
		return contents.Certificates, err
	case kindCertificate:
		return parseCertificates(data, "the file")
	}
	return nil, notACertificate(string(kind))
}

// parseCertificates reads one or more certificates in DER.
func parseCertificates(der []byte, where string) ([]*cert.Certificate, error) {
	list, err := parseAll(der)
	if err == nil {
		return list, nil
	}
	if kind, _ := identify(der); kind != kindCertificate && kind != "" {
		return nil, notACertificate(string(kind))
	}
	return nil, damaged("the certificate in "+where, err)
}

// parseAll reads certificates that follow each other. What follows them is odd.
func parseAll(der []byte) ([]*cert.Certificate, error) {
	var list []*cert.Certificate
	for rest := der; ; {
		c, next, err := cert.ParseNext(rest)
		switch {
		case err != nil && len(list) == 0:
			return nil, err
		case err != nil:
			last := len(list) - 1
			list[last], err = cert.Parse(der[len(der)-len(rest)-len(list[last].Raw):])
			return list, err
		}
		if list = append(list, c); len(next) == 0 {
			return list, nil
		}
		rest = next
	}
}

func notACertificate(kind string) error {
	p := problem.New(problem.Mismatch, "the file is not a certificate")
	switch kind {
	case nameOfRequest:
		p.Because("The file holds %s. The CA issues the certificate for it.", kind)
	case nameOfTrusted:
		return p.Because("The file holds %s. openssl converts it to a plain one.", kind).
			Advise(advice.Run("openssl", "x509", "-in", "FILE", "-out", "cert.pem"))
	default:
		p.Because("The file holds %s, but a certificate in PEM, DER, PKCS#7 or PKCS#12 is needed.", kind)
	}
	return p
}

func damaged(what string, cause error) error {
	p := problem.New(problem.Mismatch, "%s is damaged or incomplete", what)
	p.Cause = cause
	return p
}
