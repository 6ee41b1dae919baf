package csr

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The choices of GeneralName, RFC 5280, 4.2.1.6.
const (
	tagOtherName  = 0
	tagRFC822Name = 1
	tagDNSName    = 2
	tagURI        = 6
	tagIPAddress  = 7
)

// subjectAltName makes the extension from the names of o, nil where there are none.
func subjectAltName(o Options, emptySubject bool) (*pkix.Extension, error) {
	names, err := GeneralNames(o)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	extension, err := SubjectAltName(names, emptySubject)
	return &extension, err
}

// SubjectAltName is the extension with these GeneralNames. It is critical where the
// subject is empty (RFC 5280, 4.2.1.6).
func SubjectAltName(names [][]byte, emptySubject bool) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range names {
			b.AddBytes(name)
		}
	})
	value, err := b.Bytes()
	return pkix.Extension{Id: oidSubjectAltName(), Critical: emptySubject, Value: value}, err
}

// GeneralNames are the GeneralName structures (RFC 5280, 4.2.1.6) of the alternative names,
// each in DER.
func GeneralNames(o Options) ([][]byte, error) {
	if err := addressesApart(o); err != nil {
		return nil, err
	}
	var names [][]byte
	for _, kind := range []struct {
		values []string
		encode func(string) ([]byte, error)
	}{
		{o.Emails, rfc822Name},
		{o.DNS, dnsName},
		{o.IPs, ipAddress},
		{o.URIs, uniformResourceIdentifier},
		{o.UPNs, userPrincipalName},
	} {
		for _, value := range kind.values {
			name, err := kind.encode(value)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func generalName(tag uint8, value []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
	return b.Bytes()
}

func rfc822Name(s string) ([]byte, error) {
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || !isDomain(domain) || !isASCIIWithoutSpaces(local) {
		return nil, problem.New(problem.Usage, "not a mail address: %q", s).
			Because("A mail address has the form user@example.com, in ASCII; other letters in its domain are written as xn--….")
	}
	return generalName(tagRFC822Name, []byte(s))
}

func dnsName(s string) ([]byte, error) {
	if !isDomain(strings.TrimPrefix(s, "*.")) {
		return nil, problem.New(problem.Usage, "not a DNS name: %q", s).
			Because("A DNS name has labels of letters, digits and hyphens, separated by dots. Only *. may stand in front, and other letters are written as xn--….")
	}
	return generalName(tagDNSName, []byte(s))
}

// addressesApart refuses IP addresses among the DNS names.
func addressesApart(o Options) error {
	isAddress := func(s string) bool {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	found := slices.IndexFunc(o.DNS, isAddress)
	if found < 0 {
		return nil
	}
	var values []advice.Value
	for _, ip := range o.IPs {
		values = append(values, advice.Set(advice.IP, ip))
	}
	for _, name := range o.DNS {
		field := advice.DNS
		if isAddress(name) {
			field = advice.IP
		}
		values = append(values, advice.Set(field, name))
	}
	return problem.New(problem.Usage, "the DNS name is an IP address: %q", o.DNS[found]).
		Because("A certificate lists IP addresses apart from DNS names.").
		Advise(advice.Repeat(values...).Without(advice.DNS))
}

// isDomain reports whether s is a host name in the preferred syntax of RFC
// 1034, 3.5, as changed by RFC 1123: at most 253 characters, labels of 63.
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !isLetter(r) && !isDigit(r) && r != '-' {
				return false
			}
		}
	}
	return true
}

func ipAddress(s string) ([]byte, error) {
	address, err := netip.ParseAddr(s)
	if err != nil || address.Zone() != "" {
		return nil, problem.New(problem.Usage, "not an IP address: %q", s).
			Because("An IP address has the form 192.0.2.7 or 2001:db8::7, without a prefix length or zone.")
	}
	return generalName(tagIPAddress, address.AsSlice())
}

func uniformResourceIdentifier(s string) ([]byte, error) {
	u, err := url.Parse(s)
	if err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "" && u.Path == "" || !isASCIIWithoutSpaces(s) {
		return nil, problem.New(problem.Usage, "not an absolute URI: %q", s).
			Because("An absolute URI begins with a scheme, such as https://example.com/, and is in ASCII.")
	}
	return generalName(tagURI, []byte(s))
}

// userPrincipalName is the otherName that Windows looks for at smart-card
// logon.
func userPrincipalName(s string) ([]byte, error) {
	user, domain, found := strings.Cut(s, "@")
	if !found || user == "" || domain == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
		return nil, problem.New(problem.Usage, "not a user principal name: %q", s).
			Because("A user principal name has the form user@domain.")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(tagOtherName).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
		})
	})
	return b.Bytes()
}

func isASCIIWithoutSpaces(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7F })
}
