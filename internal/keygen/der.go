package keygen

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/curve"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// oneAsymmetricKey is the beginning of PKCS#8, RFC 5958, 2.
type oneAsymmetricKey struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
}

// parseDER reads PKCS#8 plain or encrypted, PKCS#1 or SEC1.
func parseDER(ctx context.Context, der []byte, ask secret.Asker) (crypto.PrivateKey, error) {
	if algorithm, ciphertext, ok := encrypted(der); ok {
		return parseEncrypted(ctx, algorithm, ciphertext, ask)
	}
	return parsePlain(der)
}

func parsePlain(der []byte) (crypto.PrivateKey, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		return k, nil
	}
	var info oneAsymmetricKey
	if _, structure := asn1.Unmarshal(der, &info); structure == nil {
		defer secret.Wipe(info.PrivateKey)
		return nil, explainPKCS8(info.Algorithm, err)
	}
	if on := curveOfSEC1(der); on != nil {
		return nil, explainPKCS8(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: on}}, err)
	}
	if kind := nameOfDER(der); kind != "" {
		return nil, notAKey(kind)
	}
	return nil, damaged("the private key", err)
}

// curveOfSEC1 is the encoded OID of the curve of an ECPrivateKey (SEC 1, C.4), nil for
// another structure.
func curveOfSEC1(der []byte) []byte {
	const most = 4
	outer, _, err := ber.Read(der)
	if err != nil || !outer.Is(ber.Sequence) {
		return nil
	}
	parts, err := outer.Elements(most)
	if err != nil || len(parts) < 3 || parts[0].SmallInt() != 1 || !parts[1].Is(ber.OctetString) || !parts[2].IsContext(0) {
		return nil
	}
	return parts[2].Content
}

// explainPKCS8 tells a key of a kind nobody has a use for here from one that is
// damaged.
func explainPKCS8(algorithm pkix.AlgorithmIdentifier, cause error) error {
	var on asn1.ObjectIdentifier
	_, _ = asn1.Unmarshal(algorithm.Parameters.FullBytes, &on) // only EC keys have a curve
	oid := algorithm.Algorithm.String()
	kinds := []string{
		"1.2.840.113549.1.1.1", // rsaEncryption
		"1.3.101.110",          // X25519
		"1.3.101.112",          // Ed25519
	}
	curves := []string{"1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35", "1.3.132.0.33"}
	const ecPublicKey = "1.2.840.10045.2.1"
	switch {
	case slices.Contains(kinds, oid), oid == ecPublicKey && slices.Contains(curves, on.String()):
		return damaged("the private key", cause)
	case oid == ecPublicKey:
		return problem.New(problem.NotSupported, "a key on the curve %s is not supported", curveName(on)).
			Because("The OID of the curve is %s. Supported algorithms: %s.", on, listed(key.Algorithms()))
	}
	return problem.New(problem.NotSupported, "a key of the type %s is not supported", curveName(algorithm.Algorithm)).
		Because("The OID of its algorithm is %s. Supported algorithms: %s.", oid, listed(key.Algorithms()))
}

// curveName is a name for a curve or algorithm, its OID where it has none.
func curveName(oid asn1.ObjectIdentifier) string {
	if known, ok := curve.ByOID(oid); ok {
		return known.Name
	}
	return oid.String()
}

// nameOfDER says what a file in DER is that is not a private key.
func nameOfDER(der []byte) string {
	if _, err := cert.Parse(der); err == nil {
		return "a certificate without its private key"
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return "a certificate request"
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return "a public key"
	}
	if len(der) > 0 && der[0] != 0x30 {
		return packaging.Name(der).Name
	}
	return ""
}
