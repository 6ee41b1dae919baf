package ca

import (
	"crypto"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Order is what is to be issued.
type Order struct {
	// Request is a request; nil where PublicKey and Names say it all.
	Request   *csr.Received
	PublicKey crypto.PublicKey
	// Names are those that are given beside the request: a subject takes the place of
	// that of the request.
	Names   csr.Options
	Profile Profile
	// Days is 0 for those of the profile.
	Days int
	// SID is the security identifier of a Windows account, empty for none.
	SID string
	// IsCA makes it the certificate of a CA, which no request can.
	IsCA bool
	// Permit and Exclude are the name constraints of a CA (RFC 5280, 4.2.1.10).
	Permit, Exclude []string
}

// subject is who the certificate is for.
type subject struct {
	name, public []byte // Name and SubjectPublicKeyInfo in DER
	key          crypto.PublicKey
	text         string // RFC 4514
	// altNames are GeneralNames in DER.
	altNames [][]byte
	// dropped is what the request asks for and does not get.
	dropped []string
}

// subject takes from the request what the profile lists, and no more.
func (o *Order) subject() (s subject, err error) {
	given, err := csr.ParseName(o.Names.Subject)
	if err != nil {
		return s, err
	}
	if s.name, err = given.DER(); err != nil {
		return s, err
	}
	s.text, s.key = given.String(), o.PublicKey
	if o.Request != nil {
		s.key, s.public = o.Request.PublicKey, o.Request.RawPublicKey
	} else if s.public, err = pubkey.Marshal(o.PublicKey); err != nil {
		return s, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	}
	if given.Empty() && o.Request != nil && o.Profile.copies(copySubject) {
		s.name, s.text = o.Request.RawSubject, o.Request.Subject.String()
	}
	if s.altNames, err = csr.GeneralNames(o.Names); err != nil {
		return s, err
	}
	if err := s.takeExtensions(o); err != nil {
		return s, err
	}
	if s.text == "" && len(s.altNames) == 0 {
		return s, problem.New(problem.Usage, "the certificate would name nobody").
			Because("It has neither a subject nor an alternative name that the profile %s lets through.", o.Profile.Name).
			Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Floppy Head")))
	}
	return s, weak(s.key)
}

// kinds are the words of profiles for alternative names.
func kinds() map[cert.Kind]string {
	return map[cert.Kind]string{cert.EmailName: copyEmail, cert.DNSName: copyDNS, cert.URIName: copyURI, cert.IPName: copyIP}
}

func (s *subject) takeExtensions(o *Order) error {
	if o.Request == nil {
		return nil
	}
	for _, x := range o.Request.Extensions {
		if !x.ID.Equal(cert.OIDSubjectAltName) {
			if !decidedByProfile(x) {
				s.dropped = append(s.dropped, "the extension "+x.ID.String())
			}
			continue
		}
		names, err := cert.GeneralNames(x.Value)
		if err != nil {
			return problem.Wrap(problem.Mismatch, err, "the request cannot be used")
		}
		for _, name := range names {
			word, known := kinds()[name.Kind]
			encoded := name.DER()
			switch {
			case known && o.Profile.copies(word):
				if !slices.ContainsFunc(s.altNames, func(own []byte) bool { return string(own) == string(encoded) }) {
					s.altNames = append(s.altNames, encoded)
				}
			case slices.ContainsFunc(s.altNames, func(own []byte) bool { return string(own) == string(encoded) }):
				// a flag says the same
			case known:
				s.dropped = append(s.dropped, fmt.Sprintf("the alternative name %s:%q", word, name.Value))
			default:
				s.dropped = append(s.dropped, fmt.Sprintf("an alternative name of type %d", name.Kind))
			}
		}
	}
	return nil
}

// decidedByProfile reports whether an extension of a request says what every certificate
// of a profile has anyway.
func decidedByProfile(x cert.Extension) bool {
	notCA := x.ID.Equal(cert.OIDBasicConstraints) && string(x.Value) == "\x30\x00"
	return notCA || x.ID.Equal(cert.OIDKeyUsage) || x.ID.Equal(cert.OIDExtKeyUsage) || x.ID.Equal(cert.OIDSubjectKeyID)
}
