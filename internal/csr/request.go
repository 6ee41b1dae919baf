// Package csr makes PKCS#10 requests and self-signed certificates: names,
// extensions, the structure, the signature, and the check of the result. It
// knows nothing of cards: the key is a crypto.Signer, and where it lives is
// its business. It neither reads nor writes files.
package csr

import (
	"crypto"
	"crypto/x509/pkix"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// Options is a request as it is typed. The fields carry what stands after the
// flags of the same name; the lists of usages have one name or OID an element.
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
	Digest      string   // sha256, sha384, sha512, or empty for the one that suits the key
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
}

// Parse reads what was typed; a problem.Usage says what is wrong with it.
func Parse(o Options) (Request, error) {
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
			Because("The subject is empty, and there is no alternative name.").
			Hint("--subject 'CN=…' or --email user@example.com")
	}
	return r, nil
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
	switch strings.ToLower(strings.ReplaceAll(s, "-", "")) {
	case "":
		return 0, nil
	case "sha256":
		return crypto.SHA256, nil
	case "sha384":
		return crypto.SHA384, nil
	case "sha512":
		return crypto.SHA512, nil
	}
	return 0, problem.New(problem.Usage, "--digest %q is not a digest for signatures", s).
		Because("The digests are sha256, sha384 and sha512.")
}
