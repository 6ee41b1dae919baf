package csr

import (
	"bytes"
	"crypto"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// The same extensions as an independent program writes them for the same
// words, byte for byte.
func TestExtensionsAreTheOnesThatOpenSSLMakes(t *testing.T) {
	for _, test := range []struct {
		name, addext string // one a line
		o            Options
	}{
		{"names", "subjectAltName=email:a@example.com,DNS:*.example.com,IP:192.0.2.7,IP:2001:db8::7,URI:urn:uuid:1,otherName:msUPN;UTF8:u@corp",
			Options{Emails: []string{"a@example.com"}, DNS: []string{"*.example.com"}, IPs: []string{"192.0.2.7", "2001:db8::7"}, URIs: []string{"urn:uuid:1"}, UPNs: []string{"u@corp"}}},
		{"one usage", "keyUsage=critical,digitalSignature", Options{KeyUsage: []string{"digitalSignature"}}},
		{"the last usage", "keyUsage=critical,keyAgreement,decipherOnly", Options{KeyUsage: []string{"decipherOnly", "keyAgreement"}}},
		{"all usages", "keyUsage=critical," + strings.Join(keyUsages(), ","), Options{KeyUsage: append(keyUsages(), "critical")}},
		{"purposes", "extendedKeyUsage=critical,timeStamping,msSmartcardLogin,anyExtendedKeyUsage,1.2.3",
			Options{ExtKeyUsage: []string{"critical", "timeStamping", "smartcardLogin", "any", "OID.1.2.3", "1.2.3"}}},
		{"anything", "1.2.3=critical,DER:30030101FF", Options{Extensions: []string{"1.2.3=critical:30:03:01:01:FF"}}},
		{"all together", "subjectAltName=email:head@example.com\nkeyUsage=critical,digitalSignature,nonRepudiation\n" +
			"extendedKeyUsage=clientAuth,emailProtection,msSmartcardLogin,1.3.6.1.5.5.7.3.17\n" +
			"1.3.6.1.4.1.311.20.2=ASN1:BMPSTRING:User\n1.2.3.4=critical,ASN1:NULL",
			Options{
				Emails: []string{"head@example.com"}, KeyUsage: []string{"digitalSignature", "contentCommitment"},
				ExtKeyUsage: []string{"clientAuth", "emailprotection", "smartcardLogon", "1.3.6.1.5.5.7.3.17"},
				Extensions:  []string{"1.3.6.1.4.1.311.20.2=1E080055007300650072", "1.2.3.4=critical,05:00"},
			}},
		{"OpenSSL's spelling", "1.2.3=DER:0500", Options{Extensions: []string{"OID.1.2.3=DER:0500"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Subject = "CN=x"
			request := build(t, "p256", test.o)
			verify(t, request)
			ours := inOrder(requestOf(t, request).Extensions)
			theirs := inOrder(openSSLRequest(t, "/CN=x", strings.Split(test.addext, "\n")...).Extensions)
			if !reflect.DeepEqual(ours, theirs) {
				t.Errorf("ours   %v\ntheirs %v", ours, theirs)
			}
		})
	}
}

// inOrder sorts extensions by OID.
func inOrder(extensions []pkix.Extension) []pkix.Extension {
	slices.SortFunc(extensions, func(a, b pkix.Extension) int { return slices.Compare(a.Id, b.Id) })
	return extensions
}

func TestAlternativeNamesAreCriticalWithoutSubject(t *testing.T) {
	for _, test := range []struct {
		subject  string
		critical bool
	}{{"", true}, {"/", true}, {"CN=x", false}} {
		request := requestOf(t, build(t, "p256", Options{Subject: test.subject, DNS: []string{"example.com"}}))
		if got := request.Extensions[0].Critical; got != test.critical {
			t.Errorf("subject %q: critical is %v", test.subject, got)
		}
		if !slices.Equal(request.DNSNames, []string{"example.com"}) {
			t.Errorf("subject %q: names %v", test.subject, request.DNSNames)
		}
	}
}

func TestARequestWithoutExtensionsHasNoAttribute(t *testing.T) {
	request := requestOf(t, build(t, "p256", Options{Subject: "CN=x"}))
	if len(request.Extensions) != 0 || bytes.Contains(request.Raw, mustHex("2A864886F70D01090E")) {
		t.Errorf("%X", request.Raw)
	}
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, test := range []struct {
		name string
		o    Options
		why  string
	}{
		{"a broken subject", Options{Subject: "CN"}, "column 3"},
		{"nobody", Options{}, "names nobody"},
		{"a mail address without a domain", Options{Emails: []string{"head"}}, "not a mail address"},
		{"a mail address with a display name", Options{Emails: []string{"Floppy <head@example.com>"}}, "not a mail address"},
		{"a mail address in other letters", Options{Emails: []string{"jürgen@example.com"}}, "ASCII"},
		{"two addresses in one", Options{Emails: []string{"a@b,c@d"}}, "not a mail address"},
		{"a mail address with a line break", Options{Emails: []string{"a\n@example.com"}}, "not a mail address"},
		{"a DNS name in other letters", Options{DNS: []string{"bücher.example"}}, "xn--"},
		{"a DNS name with a path", Options{DNS: []string{"example.com/x"}}, "not a DNS name"},
		{"a wildcard in the middle", Options{DNS: []string{"a.*.example.com"}}, "not a DNS name"},
		{"a wildcard in a label", Options{DNS: []string{"a*.example.com"}}, "not a DNS name"},
		{"a wildcard alone", Options{DNS: []string{"*."}}, "not a DNS name"},
		{"an empty label", Options{DNS: []string{"a..example.com"}}, "not a DNS name"},
		{"a long label", Options{DNS: []string{long + ".example.com"}}, "not a DNS name"},
		{"a long name", Options{DNS: []string{strings.Repeat("a.", 127)}}, "not a DNS name"},
		{"an underscore", Options{DNS: []string{"a_b.example.com"}}, "not a DNS name"},
		{"an address for a name", Options{DNS: []string{"192.0.2.7"}}, "is an IP address"},
		{"a network", Options{IPs: []string{"192.0.2.0/24"}}, "not an IP address"},
		{"a zone", Options{IPs: []string{"fe80::1%eth0"}}, "not an IP address"},
		{"a leading zero", Options{IPs: []string{"192.0.2.07"}}, "not an IP address"},
		{"a relative URI", Options{URIs: []string{"/path"}}, "not an absolute URI"},
		{"a scheme alone", Options{URIs: []string{"https:"}}, "not an absolute URI"},
		{"a URI with a space", Options{URIs: []string{"https://example.com/a b"}}, "not an absolute URI"},
		{"a UPN without a domain", Options{UPNs: []string{"user@"}}, "not a user principal name"},
		{"a UPN that is not UTF-8", Options{UPNs: []string{"\xFF@example"}}, "not a user principal name"},
		{"an unknown key usage", Options{KeyUsage: []string{"signing"}}, "digitalSignature, nonRepudiation"},
		{"a key usage that is critical and nothing else", Options{KeyUsage: []string{"critical"}}, "is empty"},
		{"encipherOnly alone", Options{KeyUsage: []string{"encipherOnly"}}, "keyAgreement"},
		{"an unknown purpose", Options{ExtKeyUsage: []string{"vpn"}}, "serverAuth, clientAuth"},
		{"a broken OID as purpose", Options{ExtKeyUsage: []string{"1.2."}}, "not an OID"},
		{"an empty purpose", Options{ExtKeyUsage: []string{""}}, "extended key usage"},
		{"an extension without a value", Options{Extensions: []string{"1.2.3"}}, "no equals sign"},
		{"an extension without an OID", Options{Extensions: []string{"foo=0500"}}, "no OID"},
		{"an extension that is not hex", Options{Extensions: []string{"1.2.3=05zz"}}, "not hex"},
		{"an extension that is not DER", Options{Extensions: []string{"1.2.3=0501"}}, "not a single ASN.1 value"},
		{"an extension with two values", Options{Extensions: []string{"1.2.3=05000500"}}, "not a single ASN.1 value"},
		{"an empty extension", Options{Extensions: []string{"1.2.3="}}, "not a single ASN.1 value"},
		{"the same extension twice", Options{Extensions: []string{"1.2.3=0500", "1.2.3=0101FF"}}, "given twice"},
		{"an extension that has its own flag", Options{DNS: []string{"example.com"}, Extensions: []string{"2.5.29.17=3000"}}, "DNS names"},
		{"MD5", Options{Digest: "md5"}, "sha256, sha384, sha512"},
		{"SHA-1", Options{Digest: "sha1"}, "sha256, sha384, sha512"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.o.Subject == "" && test.name != "nobody" {
				test.o.Subject = "CN=x"
			}
			_, err := Parse(test.o)
			if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), test.why) {
				t.Errorf("error %v, want one with %q", err, test.why)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	for text, want := range map[string]crypto.Hash{"": 0, "sha256": crypto.SHA256, "SHA-384": crypto.SHA384, "Sha512": crypto.SHA512} {
		request, err := Parse(Options{Subject: "CN=x", Digest: text})
		if err != nil || request.Digest != want {
			t.Errorf("%q: %v, %v", text, request.Digest, err)
		}
	}
}

func TestListsMayHaveBlanks(t *testing.T) {
	for _, test := range []struct{ spaced, plain Options }{
		{Options{KeyUsage: []string{"digitalSignature", " nonRepudiation"}}, Options{KeyUsage: []string{"digitalSignature", "nonRepudiation"}}},
		{Options{ExtKeyUsage: []string{" clientAuth ", "\t1.2.3"}}, Options{ExtKeyUsage: []string{"clientAuth", "1.2.3"}}},
		// As OpenSSL and Windows show them.
		{Options{KeyUsage: []string{"Digital Signature", "Key Encipherment", "Certificate Sign", "CRL Sign"}},
			Options{KeyUsage: []string{"digitalSignature", "keyEncipherment", "keyCertSign", "cRLSign"}}},
		{Options{KeyUsage: []string{"Content Commitment", "non-repudiation"}}, Options{KeyUsage: []string{"nonRepudiation"}}},
		{Options{ExtKeyUsage: []string{"TLS Web Client Authentication", "E-mail Protection", "Microsoft Smartcard Login", "Smart Card Logon"}},
			Options{ExtKeyUsage: []string{"clientAuth", "emailProtection", "smartcardLogon"}}},
		{Options{ExtKeyUsage: []string{"Client Authentication", "Secure Email", "OCSP Signing", "Any Extended Key Usage"}},
			Options{ExtKeyUsage: []string{"clientAuth", "emailProtection", "OCSPSigning", "any"}}},
	} {
		test.spaced.Subject, test.plain.Subject = "CN=x", "CN=x"
		got, err := Parse(test.spaced)
		want, unspaced := Parse(test.plain)
		if err != nil || unspaced != nil || len(got.Extensions) != 1 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %v, %v", got.Extensions, err, unspaced)
		}
	}
}

func TestParseAdvises(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want advice.Advice
	}{
		{"nobody", Options{}, advice.Repeat(advice.Set(advice.Subject, "CN=Floppy Head"))},
		{"no distinguished name", Options{Subject: "me"}, advice.Repeat(advice.Set(advice.Subject, `CN=Floppy Head,O="Snake Oil, Ltd",C=XY`))},
		{"addresses among the DNS names", Options{Subject: "CN=x", IPs: []string{"192.0.2.1"}, DNS: []string{"a.example", "192.0.2.2"}},
			advice.Repeat(advice.Set(advice.IP, "192.0.2.1"), advice.Set(advice.DNS, "a.example"), advice.Set(advice.IP, "192.0.2.2")).Without(advice.DNS)},
		{"MD5", Options{Subject: "CN=x", Digest: "md5"}, advice.Repeat().Without(advice.Digest)},
		{"encipherOnly alone", Options{Subject: "CN=x", KeyUsage: []string{"encipherOnly"}},
			advice.Repeat(advice.Set(advice.KeyUsage, "keyAgreement,encipherOnly"))},
		{"a usage that is critical and nothing else", Options{Subject: "CN=x", KeyUsage: []string{"critical"}}, advice.Repeat().Without(advice.KeyUsage)},
	} {
		var p *problem.Error
		if _, err := Parse(test.o); !errors.As(err, &p) || !reflect.DeepEqual(p.Next, test.want) {
			t.Errorf("%s: %v, advice %+v", test.name, err, p.Next)
		}
	}
}
