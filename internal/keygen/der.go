package keygen

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
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
	if hasLongInteger(der) {
		return nil, tooMuchWork("the private key").Because("A number in it has more than %d bits.", 8*maxInteger)
	}
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
	if k := parseExplicit(der); k != nil {
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
	return nil, damaged("the private key", err)
}

// parseExplicit reads a key whose curve is given by its parameters, in SEC1 or PKCS#8: nil
// unless that is a curve that has a name here.
func parseExplicit(der []byte) crypto.PrivateKey {
	var info oneAsymmetricKey
	sec1, parameters := der, curveOfSEC1(der)
	if _, err := asn1.Unmarshal(der, &info); err == nil {
		defer secret.Wipe(info.PrivateKey)
		sec1, parameters = info.PrivateKey, info.Algorithm.Parameters.FullBytes
	}
	on := pubkey.Explicit(parameters)
	if on == nil {
		return nil
	}
	outer, _, err := ber.Read(sec1)
	if err != nil || !outer.Is(ber.Sequence) {
		return nil
	}
	parts, _ := outer.Elements(2)
	if len(parts) != 2 || !parts[1].Is(ber.OctetString) {
		return nil
	}
	private, err := ecdsa.ParseRawPrivateKey(on, parts[1].Content)
	if err != nil {
		return nil
	}
	return private
}

// maxInteger is the greatest length of a number in a key, in bytes: to check a longer one
// takes minutes, and no RSA key has it.
const maxInteger = 16384 / 8

// hasLongInteger reports whether PKCS#1 or PKCS#8 has a number that is longer.
func hasLongInteger(der []byte) bool {
	const most = 20
	outer, _, err := ber.Read(der)
	if err != nil || !outer.Is(ber.Sequence) {
		return false
	}
	parts, err := outer.Elements(most)
	if err != nil {
		return false
	}
	for _, part := range parts {
		if part.Is(ber.Integer) && len(part.Content) > maxInteger+1 || part.Is(ber.OctetString) && hasLongInteger(part.Content) {
			return true
		}
	}
	return false
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
	case oid == ecPublicKey && len(on) == 0:
		return problem.New(problem.NotSupported, "a key on a curve without a name is not supported").
			Because("The file gives the parameters of the curve. Supported algorithms: %s.", listed(key.Algorithms()))
	case oid == ecPublicKey:
		return problem.New(problem.NotSupported, "a key on the curve %s is not supported", pubkey.NameOf(on)).
			Because("The OID of the curve is %s. Supported algorithms: %s.", on, listed(key.Algorithms()))
	}
	return problem.New(problem.NotSupported, "a key of the type %s is not supported", pubkey.NameOf(algorithm.Algorithm)).
		Because("The OID of its algorithm is %s. Supported algorithms: %s.", oid, listed(key.Algorithms()))
}

// notDER says what a file in DER is that does not even begin as a private key.
func notDER(der []byte) error {
	if _, _, ok := encrypted(der); ok {
		return nil
	}
	e, _, err := ber.Read(der)
	if errors.Is(err, ber.ErrTruncated) {
		return problem.New(problem.Mismatch, "the file is incomplete").
			Because("The file has %d bytes, but its first structure needs more.", len(der))
	}
	parts, _ := e.Elements(1)
	if err != nil || len(parts) == 0 {
		return notAKey(packaging.Name(der).Name)
	}
	if parts[0].Is(ber.Integer) {
		return nil // PKCS#1, PKCS#8 or SEC1
	}
	if oid, err := parts[0].ObjectIdentifier(); err == nil && strings.HasPrefix(oid.String(), "1.2.840.113549.1.7.") {
		return notAKey("a PKCS#7 message")
	}
	if _, err := cert.Parse(der); err == nil {
		return notAKey("a certificate without its private key")
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		return notAKey("a certificate request")
	}
	if _, err := x509.ParseRevocationList(der); err == nil {
		return notAKey("a revocation list")
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return notAKey("a public key")
	}
	return notAKey("data of an unknown kind")
}
