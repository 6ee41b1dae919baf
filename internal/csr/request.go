// Package csr makes PKCS#10 requests and self-signed certificates: names,
// extensions, the structure, the signature, and the check of the result. The
// card is left to others: a key is a crypto.Signer, wherever it is. Files are
// left to the command line.
package csr

import (
	"crypto"
	"crypto/x509/pkix"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Options is a request as it is typed. The lists of usages have one name or OID
// per element.
type Options struct {
	Subject     string
	Emails      []string
	DNS         []string
	IPs         []string
	URIs        []string
	UPNs        []string
	KeyUsage    []string
	ExtKeyUsage []string
	Extensions  []string // OID=HEX or OID=critical,HEX
	Digest      string   // SHA-256, SHA-384 or SHA-512, empty for the one that suits the key
	PSS         bool
}

// Request is what is to be asked for, checked as far as it can be without the
// key.
type Request struct {
	Subject    Name
	Extensions []pkix.Extension

	// Digest is 0 for the one that suits the key: SHA-256, for P-384
	// SHA-384, for P-521 SHA-512.
	Digest crypto.Hash

	// PSS signs with RSASSA-PSS, the salt as long as the digest.
	PSS bool

	// Challenge is the challengePassword attribute of a request (RFC 2985, 5.4.1), nil for
	// none. A certificate has none.
	Challenge *secret.Bytes
}

// Parse reads what was typed; a problem.Usage says what is wrong with it.
func Parse(o Options) (Request, error) {
	o.KeyUsage, o.ExtKeyUsage = trimmed(o.KeyUsage), trimmed(o.ExtKeyUsage)
	subject, err := ParseName(o.Subject)
	if err != nil {
		return Request{}, err
	}
	list, err := extensions(o, subject.Empty())
	if err != nil {
		return Request{}, err
	}
	digest, err := parseDigest(o.Digest)
	if err != nil {
		return Request{}, err
	}
	r := Request{Subject: subject, Extensions: list, Digest: digest, PSS: o.PSS}
	if subject.Empty() && !r.has(oidSubjectAltName()) {
		return Request{}, problem.New(problem.Usage, "the request names nobody").
			Because("It has neither a subject nor an alternative name, such as a mail address.").
			Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Floppy Head")))
	}
	return r, nil
}

// trimmed are the elements of a list without blanks around them: 'a, b'.
func trimmed(list []string) []string {
	var elements []string
	for _, element := range list {
		elements = append(elements, strings.TrimSpace(element))
	}
	return elements
}

func (r Request) has(oid []int) bool {
	for _, extension := range r.Extensions {
		if extension.Id.Equal(oid) {
			return true
		}
	}
	return false
}

func parseDigest(s string) (crypto.Hash, error) {
	if s == "" {
		return 0, nil
	}
	var names []string
	for _, digest := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		name := strings.ToLower(plain(digest.String()))
		if strings.EqualFold(plain(s), name) {
			return digest, nil
		}
		names = append(names, name)
	}
	return 0, problem.New(problem.Usage, "not a digest for signatures: %q", s).
		Because("Valid digests: %s.", strings.Join(names, ", ")).
		Advise(advice.Repeat().Without(advice.Digest))
}

// plain is the name of a digest as it is typed: sha256.
func plain(name string) string { return strings.ReplaceAll(name, "-", "") }
