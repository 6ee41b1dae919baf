package key

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// TestFamiliarAlgorithmNames has the names of OpenSSL, RFC 5480, SSH, OpenSC, ykman, GnuPG
// and GPShell's users, in every case.
func TestFamiliarAlgorithmNames(t *testing.T) {
	for want, names := range map[Algorithm][]string{
		RSA2048: {"rsa2048", "rsa:2048", "rsa-2048", "RSA_2048", "RSA 2048"},
		RSA3072: {"rsa:3072", "RSA3072"},
		RSA4096: {"rsa:4096", "RSA4096"},
		P256:    {"p256", "P-256", "prime256v1", "EC:prime256v1", "secp256r1", "EC:secp256r1", "nistp256", "NIST P-256", "ecdsa-p256", "ECCP256", "ES256"},
		P384:    {"p-384", "secp384r1", "EC:secp384r1", "nistp384", "ECCP384", "ansip384r1"},
		P521:    {"P-521", "secp521r1", "nistp521", "ansip521r1", "ES512"},
		Ed25519: {"Ed25519", "ED25519", "EC:edwards25519", "edwards25519", "EdDSA"},
		X25519:  {"X25519", "cv25519", "Curve25519"},
	} {
		for _, name := range names {
			for _, typed := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				if got, err := ParseAlgorithm(typed); err != nil || got != want {
					t.Errorf("%q is %q, %v, not %s", typed, got, err, want)
				}
			}
		}
	}
}

// TestAlgorithmsThatAreNotOurs are near to a name, and never taken for it.
func TestAlgorithmsThatAreNotOurs(t *testing.T) {
	for _, name := range []string{
		"", "rsa", "rsa:", "rsa1024", "rsa:2047", "rsa20480", "2048", "256", "p255", "p224", "secp224r1", "secp256k1", "prime256v2",
		"brainpoolP256r1", "nistp", "ec", "ecdsa", "ed448", "x448", "es384k", "dsa2048", "prsa2048",
	} {
		algorithm, err := ParseAlgorithm(name)
		if !problem.Is(err, problem.Usage) || algorithm != "" || !strings.Contains(err.Error(), "rsa2048, rsa3072, rsa4096, p256") {
			t.Errorf("%q is %q, %v", name, algorithm, err)
		}
	}
}
