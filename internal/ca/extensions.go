package ca

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// OIDs of RFC 5280, 4.2, and of MS-WCCE, 2.2.2.7.7.4.
func oidCRLPlaces() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 31} }
func oidPolicies() asn1.ObjectIdentifier  { return asn1.ObjectIdentifier{2, 5, 29, 32} }
func oidAccess(arc ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7}, arc...)
}

// extensions are all those of a certificate.
func (c *CA) extensions(o *Order, s *subject) ([]pkix.Extension, error) {
	var list []pkix.Extension
	var failed error
	add := func(x pkix.Extension, err error) {
		if list = append(list, x); failed == nil {
			failed = err
		}
	}
	subjectKey, authorityKey, err := csr.KeyIdentifiers(s.public, c.certificate.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	if c.certificate.SubjectKeyId != nil { // a parent may have given it another one
		authorityKey.Value = keyID(c.certificate.SubjectKeyId)
	}
	add(o.basicConstraints())
	add(csr.KeyUsage(o.usages(s.key)...))
	if len(o.Profile.ExtKeyUsage) > 0 && !o.isCA() {
		add(csr.ExtKeyUsage(o.Profile.ExtKeyUsage...))
	}
	if len(s.altNames) > 0 {
		add(csr.SubjectAltName(s.altNames, s.text == ""))
	}
	add(subjectKey, nil)
	add(authorityKey, nil)
	if len(o.Permit)+len(o.Exclude) > 0 {
		add(o.nameConstraints())
	}
	if o.SID != "" {
		add(SecurityIdentifier(o.SID))
	}
	if o.Again != nil {
		for _, x := range o.Again.Extensions {
			if x.ID.Equal(cert.OIDSecurityID) {
				add(pkix.Extension{Id: x.ID, Critical: x.Critical, Value: x.Value}, nil)
			}
		}
	}
	if len(o.Profile.Policies) > 0 {
		add(policies(o.Profile.Policies))
	}
	if o.Profile.OCSPNoCheck {
		add(pkix.Extension{Id: oidAccess(48, 1, 5), Value: asn1.NullBytes}, nil)
	}
	if len(c.CRL) > 0 {
		add(crlPlaces(c.CRL))
	}
	if len(c.OCSP)+len(c.Issuers) > 0 {
		add(access(c.OCSP, c.Issuers))
	}
	return list, failed
}

func (o *Order) isCA() bool { return o.Profile.CA || o.IsCA }

func (o *Order) basicConstraints() (pkix.Extension, error) {
	x := pkix.Extension{Id: cert.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 0}} // CA:FALSE
	if !o.isCA() {
		return x, nil
	}
	value := struct {
		CA   bool
		Path int `asn1:"optional,default:-1"`
	}{true, -1}
	if o.Profile.PathLength != nil {
		value.Path = *o.Profile.PathLength
	}
	var err error
	x.Value, err = asn1.Marshal(value)
	return x, err
}

// usages are those of the profile that go with the key: RFC 4055, 1.2; RFC 5480, 3; RFC
// 8410, 5.
func (o *Order) usages(public crypto.PublicKey) []string {
	usages := slices.Clone(o.Profile.KeyUsage)
	if o.IsCA && !o.Profile.CA {
		usages = []string{"keyCertSign", "cRLSign"}
	}
	other, _ := public.(*pubkey.Other)
	_, isEC := public.(*ecdsa.PublicKey)
	switch agreement, _ := public.(*ecdh.PublicKey); {
	case agreement != nil:
		return []string{"keyAgreement"}
	case pubkey.IsRSA(public):
		usages = append(usages, o.Profile.KeyUsageRSA...)
	case isEC, other != nil && other.IsEC():
		usages = append(usages, o.Profile.KeyUsageEC...)
	}
	return usages
}

// suits refuses a key that cannot do what the certificate would be for.
func (o *Order) suits(public crypto.PublicKey) error {
	_, agreement := public.(*ecdh.PublicKey)
	agrees := slices.ContainsFunc(slices.Concat(o.Profile.KeyUsage, o.Profile.KeyUsageEC), func(usage string) bool { return csr.SameUsage("keyAgreement", usage) })
	if agreement && (o.isCA() || !agrees) {
		return problem.New(problem.NotSupported, "the key cannot have a certificate of the profile %s", o.Profile.Name).
			Because("It agrees on secrets, and signs nothing. The profile mail is for such keys.").Advise(advice.Repeat(advice.Set(advice.Profile, "mail")))
	}
	return nil
}

// nameConstraints are RFC 5280, 4.2.1.10.
func (o *Order) nameConstraints() (pkix.Extension, error) {
	x := pkix.Extension{Id: cert.OIDNameConstraints, Critical: true}
	if !o.isCA() {
		return x, problem.New(problem.Usage, "only the certificate of a CA has name constraints").
			Advise(advice.Repeat(advice.Switch(advice.IsCA)))
	}
	var failed error
	subtrees := func(b *cryptobyte.Builder, tag uint8, names []string) {
		if len(names) == 0 {
			return
		}
		b.AddASN1(cbasn1.Tag(tag).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			for _, name := range names {
				base, err := constraint(name)
				if err != nil {
					failed = err
				}
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(base.DER()) })
			}
		})
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		subtrees(b, 0, o.Permit)
		subtrees(b, 1, o.Exclude)
	})
	value, err := b.Bytes()
	x.Value = value
	if failed != nil {
		err = failed
	}
	return x, err
}

// constraint reads the base of a subtree by its form: 192.0.2.0/24, user@example.com or
// @example.com, CN=…, or else a domain.
func constraint(text string) (n cert.GeneralName, err error) {
	wrong := problem.New(problem.Usage, "not a name for a constraint: %q", text).
		Because("It is a domain, a mail address, addresses such as 192.0.2.0/24, or a distinguished name.").Advise(advice.Do(advice.Help))
	prefix, err := netip.ParsePrefix(text)
	if single, no := netip.ParseAddr(text); no == nil && single.Zone() == "" {
		prefix, err = netip.PrefixFrom(single, single.BitLen()), nil
	}
	switch {
	case err == nil:
		n.Kind, n.Value = cert.IPName, prefix.Masked().Addr().AsSlice()
		mask := make([]byte, len(n.Value))
		for i := range prefix.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		n.Value = append(n.Value, mask...)
		return n, nil
	case strings.Contains(text, "="):
		name, err := csr.ParseName(text)
		if err != nil {
			return n, err
		}
		n.Kind = cert.DirectoryName
		n.Value, err = name.DER()
		return n, err
	case strings.Contains(text, "@"):
		host, isHost := strings.CutPrefix(text, "@")
		n.Kind, n.Value = cert.EmailName, []byte(host)
		if _, err := csr.GeneralNames(csr.Options{DNS: []string{strings.TrimPrefix(host, ".")}}); isHost && err != nil || strings.Contains(text, "*") {
			return n, wrong
		}
		if _, err := csr.GeneralNames(csr.Options{Emails: []string{text}}); !isHost && err != nil {
			return n, wrong
		}
	default:
		n.Kind, n.Value = cert.DNSName, []byte(text)
		if _, err := csr.GeneralNames(csr.Options{DNS: []string{text}}); err != nil || strings.Contains(text, "*") {
			return n, wrong
		}
	}
	return n, nil
}

// SecurityIdentifier names a Windows account by its security identifier (KB5014754).
func SecurityIdentifier(text string) (pkix.Extension, error) {
	isNumber := func(part string) bool { return part != "" && strings.Trim(part, "0123456789") == "" }
	authorities, ok := strings.CutPrefix(text, "S-1-")
	const most = 1 + 15 // an authority, and those below it
	parts := strings.Split(authorities, "-")
	if !ok || len(parts) < 2 || len(parts) > most || slices.ContainsFunc(parts, func(part string) bool { return !isNumber(part) }) {
		return pkix.Extension{}, problem.New(problem.Usage, "not a security identifier: %q", text).
			Because("It begins with S-1- and has numbers after that: whoami /user shows it on Windows.").Advise(advice.Repeat(advice.Fill(advice.SID)))
	}
	explicit := cbasn1.Tag(0).ContextSpecific().Constructed()
	return built(pkix.Extension{Id: cert.OIDSecurityID}, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(append(slices.Clone(cert.OIDSecurityID), 1))
			b.AddASN1(explicit, func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte(text)) })
		})
	})
}

func policies(list []string) (pkix.Extension, error) {
	var oids []asn1.ObjectIdentifier
	for _, text := range list {
		oid, err := csr.ParseOID(text)
		if err != nil {
			return pkix.Extension{}, problem.Wrap(problem.Mismatch, err, "a policy of the profile")
		}
		if slices.ContainsFunc(oids, oid.Equal) {
			return pkix.Extension{}, problem.New(problem.Mismatch, "the profile has the policy %s twice", text)
		}
		oids = append(oids, oid)
	}
	return built(pkix.Extension{Id: oidPolicies()}, func(b *cryptobyte.Builder) {
		for _, oid := range oids {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
		}
	})
}

func crlPlaces(list []string) (pkix.Extension, error) {
	inner := cbasn1.Tag(0).ContextSpecific().Constructed()
	return built(pkix.Extension{Id: oidCRLPlaces()}, func(b *cryptobyte.Builder) {
		for _, address := range list {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(inner, func(b *cryptobyte.Builder) {
					b.AddASN1(inner, func(b *cryptobyte.Builder) { b.AddBytes(uri(address)) })
				})
			})
		}
	})
}

// access is where more is known (RFC 5280, 4.2.2.1).
func access(responders, issuers []string) (pkix.Extension, error) {
	return built(pkix.Extension{Id: oidAccess(1, 1)}, func(b *cryptobyte.Builder) {
		for method, list := range [][]string{responders, issuers} {
			for _, address := range list {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidAccess(48, method+1))
					b.AddBytes(uri(address))
				})
			}
		}
	})
}

func uri(address string) []byte {
	return cert.GeneralName{Kind: cert.URIName, Value: []byte(address)}.DER()
}

// built is an extension whose value is a SEQUENCE.
func built(x pkix.Extension, content cryptobyte.BuilderContinuation) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, content)
	var err error
	x.Value, err = b.Bytes()
	return x, err
}

// keyID is AuthorityKeyIdentifier with an identifier alone.
func keyID(id []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(id) })
	})
	return b.BytesOrPanic() // it is shorter than the certificate that has it
}
