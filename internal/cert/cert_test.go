package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// parts are those of a certificate that a test changes; the signature is that of
// nobody.
type parts struct {
	serial     []byte // content of the INTEGER
	name       []byte // encoding of the value of CN
	notBefore  []byte // encoding
	notAfter   []byte
	key        []byte // SubjectPublicKeyInfo
	extensions []Extension
}

func encode(tag byte, content string) []byte {
	return append([]byte{tag, byte(len(content))}, content...)
}

func usual(t testing.TB) parts {
	t.Helper()
	return parts{
		serial: []byte{5}, name: encode(12, "Floppy Head"),
		notBefore: encode(23, "250102030405Z"), notAfter: encode(23, "350102030405Z"),
		key: full(t).RawSubjectPublicKeyInfo,
	}
}

// der builds the certificate.
func (p parts) der(t testing.TB) []byte {
	t.Helper()
	var b cryptobyte.Builder
	oid := asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	}
	name := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidCommonName)
					b.AddBytes(p.name)
				})
			})
		})
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
			b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(p.serial) })
			algorithm(b)
			name(b)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(p.notBefore); b.AddBytes(p.notAfter) })
			name(b)
			b.AddBytes(p.key)
			if len(p.extensions) == 0 {
				return
			}
			b.AddASN1(cbasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, x := range p.extensions {
						b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(x.ID)
							b.AddASN1OctetString(x.Value)
						})
					}
				})
			})
		})
		algorithm(b)
		b.AddASN1BitString([]byte{0x30, 0x00})
	})
	der, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func altName(tag byte, value string) []Extension {
	name := encode(0x80|tag, value)
	return []Extension{{ID: OIDSubjectAltName, Value: encode(0x30, string(name))}}
}

// TestOddCertificatesAreRead has what crypto/x509 refuses and OpenSSL reads.
func TestOddCertificatesAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		change func(p *parts)
		behind []byte
		odd    string
		check  func(c *Certificate) bool
	}{
		"negative serial number": {func(p *parts) { p.serial = []byte{0xFB} }, nil, "its serial number is negative",
			func(c *Certificate) bool { return c.Serial() == "-05" && c.SerialNumber.Cmp(big.NewInt(-5)) == 0 }},
		"serial number with a zero too much": {func(p *parts) { p.serial = []byte{0, 5} }, nil, "more bytes than needed",
			func(c *Certificate) bool { return c.Serial() == "05" }},
		"serial number of 30 bytes": {func(p *parts) { p.serial = bytes.Repeat([]byte{0x11}, 30) }, nil, "longer than 20 bytes",
			func(c *Certificate) bool { return len(c.Serial()) == 60 }},
		"@ in PrintableString": {func(p *parts) { p.name = encode(19, "a@example.com") }, nil, `its subject has the character '@' in a PrintableString`,
			func(c *Certificate) bool { return c.Subject.String() == "CN=a@example.com" }},
		"_ in PrintableString": {func(p *parts) { p.name = encode(19, "a_b") }, nil, `'_' in a PrintableString`,
			func(c *Certificate) bool { return c.Subject.CommonName() == "a_b" }},
		"UniversalString": {func(p *parts) { p.name = encode(28, "\x00\x00\x00a\x00\x00\x00\xE4\x00\x01\xF6\x00") }, nil, "a UniversalString",
			func(c *Certificate) bool { return c.Subject.CommonName() == "aä😀" }},
		"UTF-8 in IA5String": {func(p *parts) { p.name = encode(22, "Flöppy") }, nil, "other characters than ASCII in an IA5String",
			func(c *Certificate) bool { return c.Subject.CommonName() == "Flöppy" }},
		"Latin-1 in UTF8String": {func(p *parts) { p.name = encode(12, "Fl\xF6ppy") }, nil, "a UTF8String that is not UTF-8",
			func(c *Certificate) bool { return c.Subject.CommonName() == "Flöppy" }},
		"BMPString": {func(p *parts) { p.name = encode(30, "\x00a\x00\xE4") }, nil, "",
			func(c *Certificate) bool { return c.Subject.CommonName() == "aä" }},
		"UTF-8 in SAN": {func(p *parts) { p.extensions = altName(1, "ä@example.com") }, nil, "its subjectAltName has other characters than ASCII",
			func(c *Certificate) bool { return string(c.AltNames[0].Value) == "ä@example.com" }},
		"text in an IP SAN": {func(p *parts) { p.extensions = altName(7, "10.0.0.1") }, nil, "an IP address of 8 bytes",
			func(c *Certificate) bool { return c.AltNames[0].Kind == IPName }},
		"fractional seconds": {func(p *parts) { p.notAfter = encode(24, "20350102030405.25Z") }, nil, "its dates are not written as RFC 5280 requires",
			func(c *Certificate) bool {
				return c.NotAfter.Equal(time.Date(2035, 1, 2, 3, 4, 5, 250e6, time.UTC))
			}},
		"no seconds, another zone": {func(p *parts) { p.notBefore = encode(23, "2501020304+0200") }, nil, "dates",
			func(c *Certificate) bool { return c.NotBefore.Equal(time.Date(2025, 1, 2, 1, 4, 0, 0, time.UTC)) }},
		"an end before the beginning": {func(p *parts) { p.notAfter = encode(23, "990102030405Z") }, nil, "ends before it begins",
			func(c *Certificate) bool { return c.NotAfter.Year() == 1999 }},
		"an extension twice": {func(p *parts) { p.extensions = append(altName(2, "a"), altName(2, "b")...) }, nil, "extension 2.5.29.17 twice", nil},
		"an extension of rubbish": {func(p *parts) { p.extensions = []Extension{{ID: OIDBasicConstraints, Value: []byte("rubbish")}} }, nil, "its basicConstraints cannot be read",
			func(c *Certificate) bool { return !c.IsCA && !c.BasicConstraintsValid }},
		"bytes behind it": {func(*parts) {}, []byte("more"), "4 bytes follow the certificate", nil},
		"zeros behind it": {func(*parts) {}, make([]byte, 9), "9 bytes follow the certificate", nil},
		"nothing unusual": {func(*parts) {}, nil, "", func(c *Certificate) bool { return c.Standard() != nil && c.Serial() == "05" }},
		"another key type": {func(p *parts) { p.key = encode(0x30, "\x30\x05\x06\x03\x2A\x03\x04\x03\x02\x00\x01") }, nil, "", // Go knows no type either
			func(c *Certificate) bool { return c.PublicKey.(*pubkey.Other).Name() == "1.2.3.4" }},
	} {
		t.Run(name, func(t *testing.T) {
			p := usual(t)
			test.change(&p)
			der := p.der(t)
			c, err := Parse(append(bytes.Clone(der), test.behind...))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.Raw, der) {
				t.Error("the bytes are not kept")
			}
			if name != "another key type" && (test.odd == "") != (len(c.Odd) == 0) || !strings.Contains(strings.Join(c.Odd, ", "), test.odd) {
				t.Errorf("odd: %q, want %q", c.Odd, test.odd)
			}
			if test.check != nil && !test.check(c) {
				t.Errorf("%s, serial number %s, %v to %v", c.Subject, c.Serial(), c.NotBefore, c.NotAfter)
			}
			if _, err := x509.ParseCertificate(der); err != nil && len(c.Odd) == 0 {
				t.Errorf("crypto/x509 refuses it (%v), and nothing is said", err)
			}
		})
	}
}

func TestWhatIsNotACertificate(t *testing.T) {
	p := usual(t)
	whole := p.der(t)
	for n := range whole {
		if _, err := Parse(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken", n, len(whole))
		}
	}
	for name, data := range map[string][]byte{
		"text":         []byte("hello"),
		"a request":    {0x30, 0x09, 0x30, 0x00, 0x30, 0x03, 0x06, 0x01, 0x2A, 0x03, 0x00},
		"a public key": p.key,
		"nested":       bytes.Repeat([]byte{0x30, 0x80}, 1<<19),
	} {
		if _, err := Parse(data); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestKeysOnOtherCurves reads what OpenSSL makes.
func TestKeysOnOtherCurves(t *testing.T) {
	for file, want := range map[string]string{
		"brainpoolP256r1": "brainpoolP256r1", "brainpoolP384r1": "brainpoolP384r1", "brainpoolP512r1": "brainpoolP512r1",
		"brainpoolP256t1": "brainpoolP256t1", "secp256k1": "secp256k1", "sect283r1": "sect283r1", "ed448": "Ed448",
		"rsapss": "RSASSA-PSS", "dsa": "DSA",
	} {
		c, err := Parse(decodePEM(t, "testdata/"+file+".pem"))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		other, ok := c.PublicKey.(*pubkey.Other)
		if !ok || other.Name() != want || string(key.AlgorithmOf(c.PublicKey)) == "unknown" {
			t.Errorf("%s: %T %v", file, c.PublicKey, key.AlgorithmOf(c.PublicKey))
			continue
		}
		if !strings.Contains(strings.Join(c.Odd, " "), want) {
			t.Errorf("%s: %q", file, c.Odd)
		}
		if info, err := pubkey.Marshal(c.PublicKey); err != nil || !bytes.Equal(info, c.RawSubjectPublicKeyInfo) {
			t.Errorf("%s: another encoding, %v", file, err)
		}
		if !pubkey.Same(c.PublicKey, c.PublicKey) || len(pubkey.Fingerprint(c.PublicKey)) != 64 {
			t.Errorf("%s is not the same key as itself", file)
		}
	}
	for _, file := range []string{"explicit", "compressed"} {
		c, err := Parse(decodePEM(t, "testdata/"+file+".pem"))
		if err != nil || key.AlgorithmOf(c.PublicKey) != key.P256 {
			t.Errorf("%s: %v, %T", file, err, c.PublicKey)
		}
	}
}

// A certificate for PSS alone is for the RSA key that it has.
func TestAPSSKeyIsAnRSAKey(t *testing.T) {
	c, err := Parse(decodePEM(t, "testdata/rsapss.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if other := c.PublicKey.(*pubkey.Other); !pubkey.Same(other.RSA, other) {
		t.Error("they are two keys")
	}
}

func TestNamesMatch(t *testing.T) {
	name := func(tag byte, text string) Name {
		p := usual(t)
		p.name = encode(tag, text)
		c, err := Parse(p.der(t))
		if err != nil {
			t.Fatal(err)
		}
		return c.Subject
	}
	for _, test := range []struct {
		a, b Name
		want bool
	}{
		{name(12, "Floppy Head"), name(19, "Floppy Head"), true},
		{name(12, "Floppy Head"), name(19, " FLOPPY   head "), true},
		{name(30, "\x00a\x00b"), name(12, "AB"), true},
		{name(12, "Floppy Head"), name(12, "FloppyHead"), false},
		{name(12, "ä"), name(20, "\xC4"), true},
		{name(4, "a"), name(12, "a"), false},
		{Name{}, name(12, "a"), false},
	} {
		if got := test.a.Matches(test.b); got != test.want {
			t.Errorf("%s and %s: %t", test.a, test.b, got)
		}
	}
}

func TestNamesAreWritten(t *testing.T) {
	for text, want := range map[string]string{
		`a,b+c"d\e<f>g;h`: `CN=a\,b\+c\"d\\e\<f\>g\;h`, " a ": `CN=\ a\ `, "#a": `CN=\#a`,
	} {
		p := usual(t)
		p.name = encode(12, text)
		c, err := Parse(p.der(t))
		if err != nil || c.Subject.String() != want || c.Standard().Subject.String() != want {
			t.Errorf("%s, %v; want %s", c.Subject, err, want)
		}
	}
}
