package enroll

import (
	"bytes"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/curve"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// csrAttributes are what a server of EST asks for in a request (RFC 8951, 3.5; RFC 7030,
// 4.5.2). Identifiers are written with dots.
type csrAttributes struct {
	// binding asks for the request to be linked to the connection (RFC 7030, 3.5).
	binding bool
	// algorithms, curves and bits are those of keys, of which it takes one each; none for
	// any.
	algorithms []string
	curves     []asn1.ObjectIdentifier
	bits       []int
	// digests are those of the signature, of which it takes one, pss its padding.
	digests []crypto.Hash
	pss     bool
	// extensions are those that it asks for, with their values.
	extensions []cert.Extension
	// unknown are the identifiers of what is not known here.
	unknown []string
}

const (
	oidRSAEncryption     = "1.2.840.113549.1.1.1"
	oidRSASSAPSS         = "1.2.840.113549.1.1.10"
	oidECPublicKey       = "1.2.840.10045.2.1"
	oidEd25519           = "1.3.101.112"
	oidChallengePassword = "1.2.840.113549.1.9.7"
	oidExtensionRequest  = "1.2.840.113549.1.9.14"
)

// signatureOf is what an identifier of a signature says of its key and its digest (RFC
// 4055, 5; RFC 5758, 3.2).
func signatureOf(oid string) (algorithm string, digest crypto.Hash) {
	switch oid {
	case "1.2.840.113549.1.1.11":
		return oidRSAEncryption, crypto.SHA256
	case "1.2.840.113549.1.1.12":
		return oidRSAEncryption, crypto.SHA384
	case "1.2.840.113549.1.1.13":
		return oidRSAEncryption, crypto.SHA512
	case "1.2.840.10045.4.3.2":
		return oidECPublicKey, crypto.SHA256
	case "1.2.840.10045.4.3.3":
		return oidECPublicKey, crypto.SHA384
	case "1.2.840.10045.4.3.4":
		return oidECPublicKey, crypto.SHA512
	}
	return "", 0
}

// mostAttributes bounds the elements of each part.
const mostAttributes = 64

// parseCSRAttributes reads CsrAttrs in DER or BER.
func parseCSRAttributes(data []byte) (a csrAttributes, err error) {
	outer, rest, err := ber.Read(data)
	if err != nil || !outer.Is(ber.Sequence) || len(rest) > 0 {
		return a, ber.ErrMalformed
	}
	list, err := outer.Elements(mostAttributes)
	if err != nil {
		return a, err
	}
	for _, e := range list {
		if e.Is(ber.OID) {
			oid, err := e.ObjectIdentifier()
			if err != nil {
				return a, err
			}
			a.oid(oid)
			continue
		}
		pair, err := e.Elements(2)
		if err != nil || !e.Is(ber.Sequence) || len(pair) != 2 || !pair[1].Is(ber.Set) {
			return a, ber.ErrMalformed
		}
		oid, err := pair[0].ObjectIdentifier()
		if err != nil {
			return a, err
		}
		values, err := pair[1].Elements(mostAttributes)
		if err == nil {
			err = a.attribute(oid, values)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// oid takes an identifier without a value.
func (a *csrAttributes) oid(oid asn1.ObjectIdentifier) {
	text := oid.String()
	algorithm, digest := signatureOf(text)
	switch {
	case text == oidChallengePassword:
		a.binding = true
	case text == oidRSASSAPSS:
		a.algorithms, a.pss = append(a.algorithms, oidRSAEncryption), true
	case algorithm != "":
		a.algorithms, a.digests = append(a.algorithms, algorithm), append(a.digests, digest)
	case pubkey.DigestOf(oid) != 0:
		a.digests = append(a.digests, pubkey.DigestOf(oid))
	case text == oidRSAEncryption, text == oidECPublicKey, text == oidEd25519:
		a.algorithms = append(a.algorithms, text)
	case isCurve(oid):
		a.algorithms, a.curves = append(a.algorithms, oidECPublicKey), append(a.curves, oid)
	default:
		a.unknown = append(a.unknown, text)
	}
}

// curveName is the name of a curve by its identifier (RFC 5480, 2.1.1.1), the identifier
// itself if it has none here.
func curveName(oid asn1.ObjectIdentifier) string {
	switch oid.String() {
	case "1.2.840.10045.3.1.7":
		return string(key.P256)
	case "1.3.132.0.34":
		return string(key.P384)
	case "1.3.132.0.35":
		return string(key.P521)
	}
	if on, known := curve.ByOID(oid); known {
		return on.Name
	}
	return oid.String()
}

// isCurve reports whether it is a curve of RFC 5480, which ed25519 and ed448 are not.
func isCurve(oid asn1.ObjectIdentifier) bool {
	return curveName(oid) != oid.String() && !strings.HasPrefix(oid.String(), "1.3.101.")
}

// attribute takes one with values.
func (a *csrAttributes) attribute(oid asn1.ObjectIdentifier, values []ber.Element) error {
	switch text := oid.String(); text {
	case oidECPublicKey:
		a.algorithms = append(a.algorithms, text)
		for _, v := range values {
			on, err := v.ObjectIdentifier()
			if err != nil {
				return err
			}
			a.curves = append(a.curves, on)
		}
	case oidRSAEncryption:
		a.algorithms = append(a.algorithms, text)
		for _, v := range values {
			bits := v.SmallInt()
			if bits <= 0 {
				return ber.ErrMalformed
			}
			a.bits = append(a.bits, bits)
		}
	case oidExtensionRequest:
		return a.extensionRequest(values)
	default:
		a.oid(oid)
	}
	return nil
}

// extensionRequest takes Extensions (RFC 9908, 3.2), and identifiers of extensions, as the
// example of RFC 7030, 4.5.2, has them.
func (a *csrAttributes) extensionRequest(values []ber.Element) error {
	for _, v := range values {
		if v.Is(ber.OID) {
			oid, err := v.ObjectIdentifier()
			if err != nil {
				return err
			}
			a.unknown = append(a.unknown, oid.String())
			continue
		}
		list, err := cert.ParseExtensions(v)
		if err != nil {
			return err
		}
		a.extensions = append(a.extensions, list...)
	}
	return nil
}

// mayBeAsked are the extensions that a server may add to a request: usages, policies, TLS
// features (RFC 7633) and the names of templates (MS-WCCE, 2.2.2.7.7). Names are for the
// person alone.
func mayBeAsked(oid asn1.ObjectIdentifier) bool {
	return slices.Contains([]string{
		cert.OIDKeyUsage.String(), cert.OIDExtKeyUsage.String(), "2.5.29.32", "1.3.6.1.5.5.7.1.24",
		"1.3.6.1.4.1.311.20.2", "1.3.6.1.4.1.311.21.7",
	}, oid.String())
}

// apply adds to a request what the server asks for. In vain are the identifiers of what it
// lacks.
func (a *csrAttributes) apply(r *csr.Request) (inVain []string, err error) {
	has := func(oid string) int {
		return slices.IndexFunc(r.Extensions, func(x pkix.Extension) bool { return x.Id.String() == oid })
	}
	for _, oid := range a.unknown {
		if has(oid) < 0 {
			inVain = append(inVain, oid)
		}
	}
	for _, x := range a.extensions {
		own := has(x.ID.String())
		switch {
		case own >= 0 && bytes.Equal(r.Extensions[own].Value, x.Value):
		case own < 0 && mayBeAsked(x.ID):
			r.Extensions = append(r.Extensions, pkix.Extension{Id: x.ID, Critical: x.Critical, Value: x.Value})
		default:
			inVain = append(inVain, x.ID.String())
		}
	}
	if a.pss {
		r.PSS = true
	}
	if len(a.digests) == 0 || slices.Contains(a.digests, r.Digest) {
		return inVain, nil
	}
	own := slices.IndexFunc(a.digests, func(h crypto.Hash) bool { return h >= crypto.SHA256 && h <= crypto.SHA512 })
	switch {
	case own < 0:
		return inVain, problem.New(problem.NotSupported, "the issuer asks for a request that is signed with %s", a.digests[0]).
			Because("cardctl signs requests with SHA-2 of 256, 384 and 512 bits.")
	case r.Digest != 0:
		return inVain, problem.New(problem.NotSupported, "the issuer does not take requests that are signed with %s", r.Digest).
			Because("It asks for %s.", a.digests[own]).Advise(advice.Repeat().Without(advice.Digest))
	}
	r.Digest = a.digests[own]
	return inVain, nil
}

// takes refuses a key that the server does not certify.
func (a *csrAttributes) takes(public crypto.PublicKey) error {
	der, err := pubkey.Marshal(public)
	if err != nil {
		return err
	}
	algorithm, on := algorithmOf(der)
	fits := len(a.algorithms) == 0 || slices.Contains(a.algorithms, algorithm)
	switch algorithm {
	case oidECPublicKey:
		fits = fits && (len(a.curves) == 0 || slices.ContainsFunc(a.curves, func(c asn1.ObjectIdentifier) bool { return c.String() == on }))
	case oidRSAEncryption:
		bits, _ := key.AlgorithmOf(public).RSABits()
		fits = fits && (len(a.bits) == 0 || slices.Contains(a.bits, bits))
	}
	if fits {
		return nil
	}
	return problem.New(problem.NotSupported, "the issuer does not certify %s keys", key.AlgorithmOf(public)).
		Because("It asks for %s.", a.keysInWords()).
		Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Fill(advice.Algorithm)))
}

// algorithmOf are the identifiers of a SubjectPublicKeyInfo, the second one being that of
// a curve.
func algorithmOf(der []byte) (algorithm, curve string) {
	info, _, _ := ber.Read(der)
	parts, _ := info.Elements(2)
	if len(parts) == 0 {
		return "", ""
	}
	list, _ := parts[0].Elements(2)
	var texts [2]string
	for i, e := range list {
		if oid, err := e.ObjectIdentifier(); err == nil {
			texts[i] = oid.String()
		}
	}
	return texts[0], texts[1]
}

// keysInWords names the keys that the server takes.
func (a *csrAttributes) keysInWords() string {
	var words []string
	add := func(word string) {
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	for _, algorithm := range a.algorithms {
		switch {
		case algorithm == oidRSAEncryption && len(a.bits) > 0:
			for _, bits := range a.bits {
				add(fmt.Sprintf("rsa%d", bits))
			}
		case algorithm == oidRSAEncryption:
			add("RSA")
		case algorithm == oidECPublicKey && len(a.curves) > 0:
			for _, on := range a.curves {
				add(curveName(on))
			}
		case algorithm == oidECPublicKey:
			add("elliptic curves")
		case algorithm == oidEd25519:
			add("Ed25519")
		}
	}
	return strings.Join(words, ", ")
}
