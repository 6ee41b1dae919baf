//go:build stack

package judges

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const name = "CN=Floppy Head"

// What OpenSSL calls the extensions.
const (
	san      = "X509v3 Subject Alternative Name"
	keyUsage = "X509v3 Key Usage"
	extUsage = "X509v3 Extended Key Usage"
)

func TestOpenSSLVerifiesEveryAlgorithm(t *testing.T) {
	tests := []struct {
		algorithm string
		digests   map[string]string // --digest, and what OpenSSL calls the signature; "" without the flag
	}{
		{"rsa2048", map[string]string{
			"": "sha256WithRSAEncryption", "sha256": "sha256WithRSAEncryption",
			"sha384": "sha384WithRSAEncryption", "sha512": "sha512WithRSAEncryption",
		}},
		{"rsa3072", map[string]string{"": "sha256WithRSAEncryption"}},
		{"p256", map[string]string{
			"": "ecdsa-with-SHA256", "sha256": "ecdsa-with-SHA256", "sha384": "ecdsa-with-SHA384", "sha512": "ecdsa-with-SHA512",
		}},
		{"p384", map[string]string{"": "ecdsa-with-SHA384", "sha256": "ecdsa-with-SHA256", "sha512": "ecdsa-with-SHA512"}},
		{"p521", map[string]string{"": "ecdsa-with-SHA512", "sha256": "ecdsa-with-SHA256", "sha384": "ecdsa-with-SHA384"}},
		{"ed25519", map[string]string{"": "ED25519"}},
	}
	for _, tt := range tests {
		t.Run(tt.algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card(tt.algorithm, 0).Initialise()
			for _, key := range []string{"OPENPGP.1", "OPENPGP.3"} {
				d.Run("cardctl", "gen-key", "--key", key, "--algorithm", tt.algorithm)
				public := d.Run("cardctl", "export-key", "--key", key)
				for digest, signature := range tt.digests {
					args := []string{"gen-csr", "--key", key, "--subject", name}
					if digest != "" {
						args = append(args, "--digest", digest)
					}
					got := d.VerifyRequest(d.Run("cardctl", args...))
					want := stack.Request{Subject: name, SignatureAlgorithm: signature, PublicKey: public}
					compare(t, strings.Join(args, " "), got, want)
				}
			}
		})
	}
}

func TestOpenSSLReadsEveryField(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("fields", 0).Initialise()
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", "p256")
	public := d.Run("cardctl", "export-key", "--key", "OPENPGP.3")

	tests := []struct {
		name       string
		subject    string
		args       []string
		want       string            // the subject, in the order of the DER
		extensions map[string]string // all of them, critical ones marked
	}{
		{name: "RFC 4514, the last RDN first",
			subject: `CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L=Snake Town,ST=Snake Desert,C=XY`,
			want:    `C=XY, ST=Snake Desert, L=Snake Town, O=Snake Oil, Ltd, OU=Webserver Team, CN=Floppy Head`},
		{name: "RFC 4514 with escapes",
			subject: `CN=Floppy\, Head\+\22x\22,O=A\=B,C=XY`,
			want:    `C=XY, O=A=B, CN=Floppy, Head+"x"`},
		{name: "OpenSSL form, as written",
			subject: `/C=AT/ST=Austria/L=Vienna/O=example.com/CN=client27/emailAddress=user@example.com`,
			want:    `C=AT, ST=Austria, L=Vienna, O=example.com, CN=client27, emailAddress=user@example.com`},
		{name: "multi-valued RDN, sorted by DER",
			subject: `CN=client+UID=c27,O=example.com`,
			want:    `O=example.com, CN=client + UID=c27`},
		{name: "dotted OID",
			subject: `CN=client,2.5.4.12=Dr`,
			want:    `title=Dr, CN=client`},
		{name: "UTF-8",
			subject: `CN=Zoë Schröder,C=AT`,
			want:    `C=AT, CN=Zoë Schröder`},
		{name: "domain components",
			subject: `CN=client,DC=example,DC=com`,
			want:    `DC=com, DC=example, CN=client`},
		{name: "every kind of alternative name, repeated",
			subject: name,
			args: []string{"--email", "a@example.com", "--email", "b@example.com", "--dns", "www.example.com", "--dns", "*.example.org",
				"--ip", "192.0.2.1", "--ip", "2001:db8::1", "--uri", "https://example.com/x", "--upn", "floppy@ad.example.com"},
			want: name,
			extensions: map[string]string{san: "email:a@example.com, email:b@example.com, DNS:www.example.com, DNS:*.example.org, " +
				"IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, URI:https://example.com/x, othername: UPN::floppy@ad.example.com"}},
		{name: "key usage by name",
			subject:    name,
			args:       []string{"--key-usage", "digitalSignature,nonRepudiation,keyAgreement"},
			want:       name,
			extensions: map[string]string{keyUsage: "critical, Digital Signature, Non Repudiation, Key Agreement"}},
		{name: "extended key usage by name and by OID",
			subject:    name,
			args:       []string{"--ext-key-usage", "clientAuth,emailProtection", "--ext-key-usage", "1.3.6.1.4.1.311.20.2.2", "--ext-key-usage", "1.2.3.4"},
			want:       name,
			extensions: map[string]string{extUsage: "TLS Web Client Authentication, E-mail Protection, Microsoft Smartcard Login, 1.2.3.4"}},
		{name: "any extension",
			subject:    name,
			args:       []string{"--extension", "1.2.3.4.5=0C03616263"},
			want:       name,
			extensions: map[string]string{"1.2.3.4.5": "..abc"}},
		{name: "no subject but an alternative name",
			subject:    "",
			args:       []string{"--dns", "www.example.com"},
			want:       "",
			extensions: map[string]string{san: "critical, DNS:www.example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pem := d.Run("cardctl", append([]string{"gen-csr", "--key", "OPENPGP.3", "--subject", tt.subject}, tt.args...)...)
			compare(t, tt.subject, d.VerifyRequest(pem), stack.Request{
				Subject: tt.want, SignatureAlgorithm: "ecdsa-with-SHA256", PublicKey: public, Extensions: tt.extensions,
			})
		})
	}
}

func TestOpenSSLVerifiesSelfSigned(t *testing.T) {
	for _, algorithm := range []string{"rsa2048", "p256", "ed25519"} {
		t.Run(algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card(algorithm, 0).Initialise()
			d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", algorithm)
			pem := d.Run("cardctl", "gen-csr", "--key", "OPENPGP.3", "--subject", name, "--self-signed", "--days", "9")
			path := d.Write("self.pem", pem, 0o600)
			d.Run("openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", path, path)
			certificate := stack.ParseCertificate(t, []byte(pem))
			if days := certificate.NotAfter.Sub(certificate.NotBefore).Hours() / 24; days < 8.9 || days > 9.1 {
				t.Errorf("valid for %.2f days", days)
			}
		})
	}
}

func compare(t *testing.T, what string, got, want stack.Request) {
	t.Helper()
	fields := []struct{ name, got, want string }{
		{"subject", got.Subject, want.Subject},
		{"signature algorithm", got.SignatureAlgorithm, want.SignatureAlgorithm},
		{"public key", got.PublicKey, want.PublicKey},
	}
	for _, f := range fields {
		if f.got != f.want {
			t.Errorf("%s: %s is %q, not %q", what, f.name, f.got, f.want)
		}
	}
	if !maps.Equal(got.Extensions, want.Extensions) {
		t.Errorf("%s: extensions\ngot  %v\nwant %v", what, fmt.Sprint(got.Extensions), fmt.Sprint(want.Extensions))
	}
}
