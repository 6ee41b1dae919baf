package keygen

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// oneAsymmetricKey is the beginning of PKCS#8, RFC 5958, 2.
type oneAsymmetricKey struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
}

// encryptedPrivateKeyInfo is RFC 5958, 3.
type encryptedPrivateKeyInfo struct {
	Algorithm     pkix.AlgorithmIdentifier
	EncryptedData []byte
}

// parseDER reads PKCS#8 plain or encrypted, PKCS#1 or SEC1.
func parseDER(ctx context.Context, der []byte, ask secret.Asker) (crypto.PrivateKey, error) {
	var encrypted encryptedPrivateKeyInfo
	if rest, err := asn1.Unmarshal(der, &encrypted); err == nil && len(rest) == 0 {
		return parseEncrypted(ctx, encrypted, ask)
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
	if kind := nameOfDER(der); kind != "" {
		return nil, notAKey(kind)
	}
	return nil, damaged("the private key", err)
}

// explainPKCS8 tells a key of a kind nobody has a use for here from one that is
// damaged.
func explainPKCS8(algorithm pkix.AlgorithmIdentifier, cause error) error {
	var curve asn1.ObjectIdentifier
	_, _ = asn1.Unmarshal(algorithm.Parameters.FullBytes, &curve) // only EC keys have a curve
	oid := algorithm.Algorithm.String()
	kinds := []string{
		"1.2.840.113549.1.1.1", // rsaEncryption
		"1.3.101.110",          // X25519
		"1.3.101.112",          // Ed25519
	}
	curves := []string{"1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35", "1.3.132.0.33"}
	const ecPublicKey = "1.2.840.10045.2.1"
	switch {
	case slices.Contains(kinds, oid), oid == ecPublicKey && slices.Contains(curves, curve.String()):
		return damaged("the private key", cause)
	case oid == ecPublicKey:
		return problem.New(problem.NotSupported, "a key on this curve is not supported").
			Because("The OID of the curve is %s. Supported algorithms: %s.", curve, listed(key.Algorithms()))
	}
	return problem.New(problem.NotSupported, "a key of this type is not supported").
		Because("The OID of its algorithm is %s. Supported algorithms: %s.", oid, listed(key.Algorithms()))
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
		return "data that is neither PEM nor DER"
	}
	return ""
}
