//go:build stack

package judges

import (
	"crypto/x509"
	"maps"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const name = "CN=Floppy Head"

func TestOpenSSLVerifiesEveryAlgorithm(t *testing.T) {
	tests := []struct {
		algorithm string
		digests   map[string]x509.SignatureAlgorithm // by --digest; "" without the flag
	}{
		{"rsa2048", map[string]x509.SignatureAlgorithm{
			"": x509.SHA256WithRSA, "sha256": x509.SHA256WithRSA,
			"sha384": x509.SHA384WithRSA, "sha512": x509.SHA512WithRSA,
		}},
		{"rsa3072", map[string]x509.SignatureAlgorithm{"": x509.SHA256WithRSA}},
		{"p256", map[string]x509.SignatureAlgorithm{
			"": x509.ECDSAWithSHA256, "sha256": x509.ECDSAWithSHA256, "sha384": x509.ECDSAWithSHA384, "sha512": x509.ECDSAWithSHA512,
		}},
		{"p384", map[string]x509.SignatureAlgorithm{"": x509.ECDSAWithSHA384, "sha256": x509.ECDSAWithSHA256, "sha512": x509.ECDSAWithSHA512}},
		{"p521", map[string]x509.SignatureAlgorithm{"": x509.ECDSAWithSHA512, "sha256": x509.ECDSAWithSHA256, "sha384": x509.ECDSAWithSHA384}},
		{"ed25519", map[string]x509.SignatureAlgorithm{"": x509.PureEd25519}},
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
		want       string   // the subject, as in RFC 2253
		extensions []string // all of them, as OpenSSL is told to make them
	}{
		{name: "RFC 4514, the last RDN first",
			subject: `CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L=Snake Town,ST=Snake Desert,C=XY`,
			want:    `CN=Floppy Head,OU=Webserver Team,O=Snake Oil\, Ltd,L=Snake Town,ST=Snake Desert,C=XY`},
		{name: "RFC 4514 with escapes",
			subject: `CN=Floppy\, Head\+\22x\22,O=A\=B,C=XY`,
			want:    `CN=Floppy\, Head\+\"x\",O=A=B,C=XY`},
		{name: "OpenSSL form, as written",
			subject: `/C=AT/ST=Austria/L=Vienna/O=example.com/CN=client27/emailAddress=user@example.com`,
			want:    `emailAddress=user@example.com,CN=client27,O=example.com,L=Vienna,ST=Austria,C=AT`},
		{name: "multi-valued RDN, sorted by DER",
			subject: `CN=client+UID=c27,O=example.com`,
			want:    `UID=c27+CN=client,O=example.com`},
		{name: "dotted OID",
			subject: `CN=client,2.5.4.12=Dr`,
			want:    `CN=client,title=Dr`},
		{name: "UTF-8",
			subject: `CN=Zoë Schröder,C=AT`,
			want:    `CN=Zoë Schröder,C=AT`},
		{name: "domain components",
			subject: `CN=client,DC=example,DC=com`,
			want:    `CN=client,DC=example,DC=com`},
		{name: "every kind of alternative name, repeated",
			subject: name,
			args: []string{"--email", "a@example.com", "--email", "b@example.com", "--dns", "www.example.com", "--dns", "*.example.org",
				"--ip", "192.0.2.1", "--ip", "2001:db8::1", "--uri", "https://example.com/x", "--upn", "floppy@ad.example.com"},
			want: name,
			extensions: []string{"subjectAltName=email:a@example.com,email:b@example.com,DNS:www.example.com,DNS:*.example.org," +
				"IP:192.0.2.1,IP:2001:db8::1,URI:https://example.com/x,otherName:msUPN;UTF8:floppy@ad.example.com"}},
		{name: "key usage by name",
			subject:    name,
			args:       []string{"--key-usage", "digitalSignature,nonRepudiation,keyAgreement"},
			want:       name,
			extensions: []string{"keyUsage=critical,digitalSignature,nonRepudiation,keyAgreement"}},
		{name: "extended key usage by name and by OID",
			subject:    name,
			args:       []string{"--ext-key-usage", "clientAuth,emailProtection", "--ext-key-usage", "1.3.6.1.4.1.311.20.2.2", "--ext-key-usage", "1.2.3.4"},
			want:       name,
			extensions: []string{"extendedKeyUsage=clientAuth,emailProtection,msSmartcardLogin,1.2.3.4"}},
		{name: "any extension",
			subject:    name,
			args:       []string{"--extension", "1.2.3.4.5=0C03616263"},
			want:       name,
			extensions: []string{"1.2.3.4.5=ASN1:UTF8String:abc"}},
		{name: "no subject but an alternative name",
			subject:    "",
			args:       []string{"--dns", "www.example.com"},
			want:       "",
			extensions: []string{"subjectAltName=critical,DNS:www.example.com"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pem := d.Run("cardctl", append([]string{"gen-csr", "--key", "OPENPGP.3", "--subject", tt.subject}, tt.args...)...)
			compare(t, tt.subject, d.VerifyRequest(pem), stack.Request{
				Subject: tt.want, SignatureAlgorithm: x509.ECDSAWithSHA256, PublicKey: public,
				Extensions: openSSLExtensions(d, tt.extensions),
			})
		})
	}
}

// openSSLExtensions are extensions as OpenSSL makes them.
func openSSLExtensions(d *stack.Desk, extensions []string) map[string]string {
	args := []string{"req", "-newkey", "ed25519", "-nodes", "-keyout", "theirs.key", "-subj", "/CN=x"}
	for _, extension := range extensions {
		args = append(args, "-addext", extension)
	}
	return d.ReadRequest(d.Run("openssl", args...)).Extensions
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
	if got.Subject != want.Subject {
		t.Errorf("%s: subject is %q, not %q", what, got.Subject, want.Subject)
	}
	if got.SignatureAlgorithm != want.SignatureAlgorithm {
		t.Errorf("%s: signature algorithm is %v, not %v", what, got.SignatureAlgorithm, want.SignatureAlgorithm)
	}
	if got.PublicKey != want.PublicKey {
		t.Errorf("%s: public key is %q, not %q", what, got.PublicKey, want.PublicKey)
	}
	if !maps.Equal(got.Extensions, want.Extensions) {
		t.Errorf("%s: extensions\ngot  %v\nwant %v", what, got.Extensions, want.Extensions)
	}
}
