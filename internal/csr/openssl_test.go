package csr

import (
	"bytes"
	"context"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openssl runs the program, which is the judge of what is made here.
func openssl(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func build(t *testing.T, key string, o Options) []byte {
	t.Helper()
	request, err := Parse(o)
	if err != nil {
		t.Fatal(err)
	}
	der, err := Build(context.Background(), signer(t, key), request)
	if err != nil {
		t.Fatal(err)
	}
	return PEMRequest(der)
}

const snakeOil = `CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L="Snake Town",ST="Snake Desert",C=XY`

func TestOpenSSLVerifiesEveryKindOfSignature(t *testing.T) {
	for _, test := range []struct {
		key, digest string
		pss         bool
		want        x509.SignatureAlgorithm // PSS with a salt as long as the digest, and the same digest in the mask
	}{
		{key: "rsa2048", want: x509.SHA256WithRSA},
		{key: "rsa2048", digest: "sha384", want: x509.SHA384WithRSA},
		{key: "rsa2048", digest: "SHA-512", want: x509.SHA512WithRSA},
		{key: "rsa2048", pss: true, want: x509.SHA256WithRSAPSS},
		{key: "rsa2048", digest: "sha384", pss: true, want: x509.SHA384WithRSAPSS},
		{key: "rsa2048", digest: "sha512", pss: true, want: x509.SHA512WithRSAPSS},
		{key: "p256", want: x509.ECDSAWithSHA256},
		{key: "p384", want: x509.ECDSAWithSHA384},
		{key: "p521", want: x509.ECDSAWithSHA512},
		{key: "p256", digest: "sha512", want: x509.ECDSAWithSHA512},
		{key: "ed25519", want: x509.PureEd25519},
	} {
		name := strings.TrimSpace(test.key + " " + test.digest)
		if test.pss {
			name += " pss"
		}
		t.Run(name, func(t *testing.T) {
			request := build(t, test.key, Options{Subject: snakeOil, Digest: test.digest, PSS: test.pss})
			verify(t, request)
			if got := requestOf(t, request).SignatureAlgorithm; got != test.want {
				t.Errorf("the signature is %v, not %v", got, test.want)
			}
		})
	}
}

// verify lets OpenSSL issue a certificate for a request, which it does if the signature
// verifies. Whether openssl req -verify fails otherwise depends on the version.
func verify(t *testing.T, request []byte) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "ca.key")
	openssl(t, nil, "genpkey", "-algorithm", "ed25519", "-out", key)
	openssl(t, request, "x509", "-req", "-key", key)
}

// The subject of OpenSSL's own request for the same name, byte for byte.
func TestSubjectIsTheOneThatOpenSSLMakes(t *testing.T) {
	for _, subject := range []string{
		"/C=AT/ST=Austria/L=Vienna/O=example.com/CN=client27/emailAddress=user@example.com",
		"/C=XY/O=Snake Oil, Ltd/OU=Webserver Team/CN=Floppy Head",
		"/DC=org/DC=example/CN=a+UID=b+serialNumber=12",
		`/CN=host\/service\+1\\x/O=a=b`,
		"/CN=Bj\u00f6rn \u00c5str\u00f6m/GN=Bj\u00f6rn/SN=\u00c5str\u00f6m/initials=B/title=Dr/dnQualifier=7/pseudonym=p/name=n",
		"/businessCategory=Private Organization/jurisdictionC=AT/jurisdictionL=Wien/jurisdictionST=W/organizationIdentifier=VATAT-1/postalCode=1010/street=Ring 1",
		"/2.5.4.3=dotted/O=x",
	} {
		t.Run(subject, func(t *testing.T) {
			name, err := ParseName(subject)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := name.DER()
			if err != nil {
				t.Fatal(err)
			}
			theirs := openSSLRequest(t, subject).RawSubject
			if !bytes.Equal(ours, theirs) {
				t.Errorf("ours   %X\ntheirs %X", ours, theirs)
			}
		})
	}
}

// openSSLRequest is a request that OpenSSL makes.
func openSSLRequest(t *testing.T, subject string, extensions ...string) *x509.CertificateRequest {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "key.pem")
	openssl(t, nil, "genpkey", "-algorithm", "ed25519", "-out", key)
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("[req]\ndistinguished_name=dn\nstring_mask=utf8only\n[dn]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"req", "-new", "-utf8", "-config", config, "-key", key, "-subj", subject}
	for _, extension := range extensions {
		args = append(args, "-addext", extension)
	}
	return requestOf(t, []byte(openssl(t, nil, args...)))
}

func TestOpenSSLReadsTheSelfSignedCertificate(t *testing.T) {
	request, err := Parse(Options{Subject: snakeOil, DNS: []string{"example.com"}, ExtKeyUsage: []string{"clientAuth"}, KeyUsage: []string{"digitalSignature"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	der, err := BuildSelfSigned(context.Background(), signer(t, "p256"), request, 30, now)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, PEMCertificate(der), 0o600); err != nil {
		t.Fatal(err)
	}
	check := []string{"verify", "-check_ss_sig", "-x509_strict", "-partial_chain", "-trusted", file}
	openssl(t, nil, append(check, "-purpose", "sslclient", "-verify_hostname", "example.com", file)...)
	for _, refused := range [][]string{{"-purpose", "sslserver"}, {"-verify_hostname", "example.org"}} {
		if err := exec.Command("openssl", append(append(check, refused...), file)...).Run(); err == nil {
			t.Errorf("the certificate verifies with %v", refused)
		}
	}
	const want = "subject=CN=Floppy Head,OU=Webserver Team,O=Snake Oil\\, Ltd,L=Snake Town,ST=Snake Desert,C=XY\n"
	if subject := openssl(t, nil, "x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253"); subject != want {
		t.Errorf("%q, not %q", subject, want)
	}
}
