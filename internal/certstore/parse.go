// Package certstore brings certificates from files to a card and back: it reads
// PEM, DER, PKCS#7 and PKCS#12, finds the certificate that belongs to a key,
// checks it before it is written and compares it afterwards. Reading and
// writing files, and asking for confirmation, are left to its callers.
package certstore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// MaxFile is the greatest length in bytes of a file that Parse reads.
const MaxFile = 1 << 20

// Parse reads the certificates of a file, in their order in it: PEM with text
// around it, DER, PKCS#7 and PKCS#12 in DER or BER, in whatever packaging, told
// apart by what is in the file and not by its name. The password of a PKCS#12
// file is asked for where the empty one does not open it. A file that is
// something else, or cut off, or that the password does not open, is a
// problem.Mismatch.
func Parse(ctx context.Context, data []byte, ask secret.Asker) ([]*cert.Certificate, error) {
	switch {
	case len(data) > MaxFile:
		return nil, problem.New(problem.Mismatch, "the file is too large to be a certificate").
			Because("The file is longer than %d bytes.", MaxFile)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, problem.New(problem.Mismatch, "the file is empty")
	}
	contents := packaging.Open(data)
	defer contents.Wipe()
	var certificates []*cert.Certificate
	var others []string
	for i, block := range contents.Blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		where := "the file"
		if contents.PEM {
			where = fmt.Sprintf("PEM block %d", i+1)
		}
		if !mayHoldCertificates(block.Label) {
			if name := nameOfPEM(block.Label); !slices.Contains(others, name) {
				others = append(others, name)
			}
			continue
		}
		list, err := parseBlock(ctx, block, where, ask)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, list...)
	}
	switch {
	case contents.Damaged > 0:
		return nil, problem.New(problem.Mismatch, "a PEM block of the file is damaged or incomplete").
			Because("%d of its %d blocks can be read.", len(contents.Blocks), len(contents.Blocks)+contents.Damaged)
	case len(contents.Blocks) == 0:
		unknown := packaging.Name(data)
		return nil, notACertificate(unknown.Name).Advise(unknown.Next)
	case len(certificates) == 0:
		return nil, notACertificate(strings.Join(others, " and "))
	}
	return certificates, nil
}

// mayHoldCertificates goes by the label of PEM, empty for none.
func mayHoldCertificates(label string) bool {
	return slices.Contains([]string{"", "CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "CMS", "PKCS #7 SIGNED DATA", "PKCS12", "PFX"}, label)
}

// parseBlock goes by what is in a block: programs put PKCS#7 under the label of a
// certificate.
func parseBlock(ctx context.Context, block packaging.Block, where string, ask secret.Asker) ([]*cert.Certificate, error) {
	data := bytes.Clone(block.Bytes)
	kind, err := identify(data)
	switch {
	case err != nil && where != "the file":
		return nil, damaged("the certificate in "+where, err)
	case err != nil:
		return nil, err
	case kind == kindPKCS7:
		return parsePKCS7(data)
	case kind == kindPKCS12:
		contents, err := pkcs12.Open(ctx, data, ask)
		defer contents.Wipe()
		if err == nil && len(contents.Certificates) == 0 {
			err = notACertificate("a PKCS#12 file without certificates")
		}
		return contents.Certificates, err
	case kind != kindCertificate:
		return nil, notACertificate(string(kind))
	}
	list, err := parseAll(data)
	if err != nil {
		return nil, damaged("the certificate in "+where, err)
	}
	return list, nil
}

// parseAll reads certificates that follow each other. What follows them is odd.
func parseAll(der []byte) ([]*cert.Certificate, error) {
	var list []*cert.Certificate
	for rest := der; ; {
		c, next, err := cert.ParseNext(rest)
		if err != nil {
			return nil, err
		}
		if _, _, err := cert.ParseNext(next); err != nil {
			c, err = cert.Parse(rest)
			return append(list, c), err
		}
		list, rest = append(list, c), next
	}
}

func notACertificate(kind string) *problem.Error {
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
