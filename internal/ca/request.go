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
	// Source is what errors call it, where there are others; empty otherwise.
	Source string
	// Request is a request; nil where PublicKey and Names say it all.
	Request   *csr.Received
	PublicKey crypto.PublicKey
	// Again is a certificate of this CA whose names get another one, for its key or
	// PublicKey; nil for none.
	Again *cert.Certificate
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

// named is an error of the order.
func (o *Order) named(err error) error {
	if o.Source == "" {
		return err
	}
	return problem.Wrap(problem.Failed, err, o.Source)
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
	if o.Again != nil {
		return o.subjectAgain()
	}
	given, err := csr.ParseName(o.Names.Subject)
	if err != nil {
		return s, err
	}
	if s.name, err = given.DER(); err != nil {
		return s, err
	}
	s.key = o.PublicKey
	if o.Request != nil {
		s.key, s.public = o.Request.PublicKey, o.Request.RawPublicKey
	}
	if _, other := s.key.(*pubkey.Other); other && o.Request != nil {
		// a key for PSS alone, or on a curve that the standard library does not know
	} else if s.public, err = pubkey.Marshal(s.key); err != nil { // without compressed points
		return s, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	}
	if s.altNames, err = csr.GeneralNames(o.Names); err != nil {
		return s, err
	}
	if given.Empty() && o.Request != nil && o.Profile.copies(copySubject) {
		if err := s.takeSubject(o); err != nil {
			return s, err
		}
	}
	read, _, err := cert.ParseName(s.name)
	if err != nil {
		return s, err
	}
	s.text = read.String()
	if err := s.mailOf(read); err != nil {
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
	if s.text == "" && o.isCA() {
		return s, problem.New(problem.Usage, "a CA needs a subject").
			Because("It is the issuer of its certificates, and an issuer must have a name (RFC 5280, 4.1.2.4).").
			Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Desk CA")))
	}
	if err := o.suits(s.key); err != nil {
		return s, err
	}
	return s, weak(s.key)
}

// mailOf makes mail addresses in a subject alternative names as well (RFC 5280, 4.1.2.6).
func (s *subject) mailOf(name cert.Name) error {
	for _, rdn := range name {
		for _, a := range rdn {
			if !a.Type.Equal(csr.OIDEmailAddress) {
				continue
			}
			address := cert.GeneralName{Kind: cert.EmailName, Value: []byte(a.Value)}
			if err := isSound(address); err != nil {
				return unsound(err)
			}
			s.add(address.DER())
		}
	}
	return nil
}

// takeSubject takes that of the request, with mail addresses if the profile has them.
func (s *subject) takeSubject(o *Order) error {
	mail := o.Profile.copies(copyEmail)
	name, addresses, err := o.Request.Name(mail)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if !mail {
			s.dropped = append(s.dropped, fmt.Sprintf("the mail address %q in the subject", address))
		}
	}
	s.name, err = name.DER()
	return err
}

func unsound(err error) error {
	return problem.New(problem.Mismatch, "the request cannot be used").Because("%s", problem.Sentence(err.Error())).Advise(advice.Do(advice.Help))
}

// add adds an alternative name that is not there yet.
func (s *subject) add(name []byte) {
	if !s.has(name) {
		s.altNames = append(s.altNames, name)
	}
}

func (s *subject) has(name []byte) bool {
	return slices.ContainsFunc(s.altNames, func(own []byte) bool { return string(own) == string(name) })
}

// isSound has a name of a request read as if it was typed: what programs could take for
// another one, such as one with a NUL in it, goes into no certificate.
func isSound(name cert.GeneralName) error {
	var o csr.Options
	switch text := []string{string(name.Value)}; name.Kind {
	case cert.EmailName:
		o.Emails = text
	case cert.DNSName:
		o.DNS = text
	case cert.URIName:
		o.URIs = text
	}
	_, err := csr.GeneralNames(o)
	return err
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
				if err := isSound(name); err != nil {
					return unsound(err)
				}
				s.add(encoded)
			case s.has(encoded):
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
