//go:build stack

package enrolment

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// attesting is a provisioner of ACME that takes statements of the desk's card.
func attesting(d *stack.Desk) provisioner {
	return provisioner{
		"type": "ACME", "name": "cards", "challenges": []string{"device-attest-01"}, "attestationFormats": []string{"step"},
		"attestationRoots": d.Read("maker.pem"),
	}
}

// acme is the address of that provisioner, and what names it and its CA.
func acme(d *stack.Desk, port string) []string {
	return []string{"--issuer", "acme+https://localhost:" + port + "/acme/cards/directory", "--issuer-ca", d.Path("ca.pem")}
}

func TestACMEAttestation(t *testing.T) {
	for _, algorithm := range []string{"p256", "rsa2048", "ed25519"} {
		t.Run(algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			pivCard(t, d, "PIV.9A", algorithm)
			issuer := acme(d, stepCA(t, d, attesting(d)))
			d.Run("cardctl", append([]string{"enroll", "--key", "PIV.9A", "--subject", "CN=" + pivSerial}, issuer...)...)
			first := stored(t, d, "PIV.9A")
			d.Run("cardctl", append([]string{"renew", "--key", "PIV.9A"}, issuer[2:]...)...)
			second := stored(t, d, "PIV.9A")
			for _, c := range []*x509.Certificate{first, second} {
				if identifier := permanentIdentifier(t, c.Extensions); identifier != pivSerial || c.Subject.String() != "CN="+pivSerial {
					t.Errorf("the certificate is for %q, %v", identifier, c.Subject)
				}
			}
			if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
				t.Error("it was not renewed")
			}
		})
	}
}

// permanentIdentifier is the alternative name of RFC 4043; empty for none.
func permanentIdentifier(t *testing.T, extensions []pkix.Extension) string {
	t.Helper()
	for _, x := range extensions {
		if !x.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names struct {
			Other struct {
				Type  asn1.ObjectIdentifier
				Value struct {
					Identifier string `asn1:"utf8"`
				} `asn1:"explicit,tag:0"`
			} `asn1:"tag:0"`
		}
		if _, err := asn1.Unmarshal(x.Value, &names); err != nil || names.Other.Type.String() != "1.3.6.1.5.5.7.8.3" {
			t.Fatalf("alternative names %X: %v", x.Value, err)
		}
		return names.Other.Value.Identifier
	}
	return ""
}

func TestACMERefuses(t *testing.T) {
	d := stack.NewDesk(t)
	pivCard(t, d, "PIV.9A", "p256")
	d.Run("cardctl", "gen-key", "--key", "PIV.9C", "--algorithm", "p384")
	d.Run("cardctl", "sim", "create", "another", "--profile", "piv-yubikey-5.7", "--attestation-ca", d.Path("another.pem"))
	d.Run("cardctl", "gen-key", "--key", "PIV.9A", "--algorithm", "p256", "--reader", "sim:another")
	issuer := acme(d, stepCA(t, d, attesting(d)))
	enroll := func(more ...string) []string { return append(append([]string{"enroll"}, issuer...), more...) }

	fails(t, d, "failed", []string{"did not issue a certificate", "the serial of the card"}, enroll("--key", "PIV.9A", "--subject", "CN=12345678")...)
	fails(t, d, "failed", []string{"did not issue a certificate"}, enroll("--key", "PIV.9A", "--subject", "CN="+pivSerial, "--reader", "sim:another")...)
	fails(t, d, "not-supported", []string{"p384", "P-256"}, enroll("--key", "PIV.9C", "--subject", "CN="+pivSerial)...)
}

func TestACMEOfPebble(t *testing.T) {
	d := stack.NewDesk(t)
	pivCard(t, d, "PIV.9A", "p256")
	address := "localhost:" + pebble(t, d) + "/dir"
	enroll := []string{"enroll", "--key", "PIV.9A", "--subject", "CN=" + pivSerial, "--issuer-ca", d.Path("ca.pem"), "--issuer"}
	order := []string{"did not issue a certificate"}

	fails(t, d, "usage", []string{"external account binding"}, append(enroll, "acme+https://"+address)...)
	d.Setenv("CARDCTL_ISSUER_SECRET", pebbleMACKey)
	for range 2 {
		fails(t, d, "failed", order, append(enroll, "acme+https://desk@"+address)...)
	}
	fails(t, d, "failed", order, append(enroll, "acme+https://other@"+address)...)
}
