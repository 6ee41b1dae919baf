package scdaemon

import (
	"context"
	"crypto/x509"
	"regexp"
	"strings"

	"github.com/cardctl/cardctl/internal/agent"
	cardkey "github.com/cardctl/cardctl/internal/key"
)

// key is one of a card as GnuPG sees it.
type key struct {
	agent.Key
	about agent.KeyAbout
	card  *card
	ref   string
	grip  string // upper-case hex
	usage string // letters of signs, certifies, encrypts, authenticates
}

// plainRef is a reference that needs no escapes anywhere in the protocol.
var plainRef = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)

// keys are those of a card that GnuPG can use.
func (c *card) keys(ctx context.Context) ([]*key, error) {
	all, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var keys []*key
	for _, k := range all {
		about := k.About()
		grip := cardkey.Keygrip(about.Public)
		if grip == "" {
			continue
		}
		ref := about.Ref
		if !plainRef.MatchString(ref) {
			ref = "KEY." + grip
		}
		keys = append(keys, &key{Key: k, about: about, card: c, ref: ref, grip: grip, usage: usage(about)})
	}
	return keys, nil
}

// usage is what a key is for: on an OpenPGP card what its place is for, else what it can do,
// within what its certificate allows.
func usage(k agent.KeyAbout) string {
	switch k.Place {
	case "signature":
		return "sc"
	case "decryption":
		return "e"
	case "authentication":
		return "sa"
	}
	allowed := "scea"
	if cert, err := x509.ParseCertificate(k.Certificate); err == nil && cert.KeyUsage != 0 {
		allowed = ofCertificate(cert.KeyUsage)
	}
	var letters strings.Builder
	for _, letter := range allowed {
		if letter == 'e' && (k.Decrypts || k.Derives) || letter != 'e' && k.Signs {
			letters.WriteRune(letter)
		}
	}
	return letters.String()
}

// ofCertificate are the letters that a key usage (RFC 5280, 4.2.1.3) stands for.
func ofCertificate(u x509.KeyUsage) (letters string) {
	if u&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0 {
		letters += "s"
	}
	if u&x509.KeyUsageCertSign != 0 {
		letters += "c"
	}
	if u&(x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment|x509.KeyUsageKeyAgreement) != 0 {
		letters += "e"
	}
	if u&x509.KeyUsageDigitalSignature != 0 {
		letters += "a"
	}
	return letters
}

var keygrip = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)

// key is the one that is named: by a keygrip on any card, or by a reference on the selected
// one.
func (s *session) key(ctx context.Context, name string) (*key, error) {
	if name == "" {
		return nil, fail(errParameter, "no key given")
	}
	if keygrip.MatchString(name) {
		return s.withGrip(ctx, name)
	}
	_, keys, err := s.selectedKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if strings.EqualFold(k.ref, name) {
			return k, nil
		}
	}
	return nil, fail(errNoPublicKey, "")
}

// selectedKeys are the selected card and its keys.
func (s *session) selectedKeys(ctx context.Context) (c *card, keys []*key, err error) {
	if c, err = s.selected(ctx); err == nil {
		keys, err = c.keys(ctx)
	}
	return c, keys, err
}

func (s *session) withGrip(ctx context.Context, grip string) (*key, error) {
	keys, err := s.allKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if strings.EqualFold(k.grip, grip) {
			return k, nil
		}
	}
	return nil, fail(errNoPublicKey, "")
}

// allKeys are those of all cards. A card that cannot be read has none.
func (s *session) allKeys(ctx context.Context) ([]*key, error) {
	cards, err := s.cards(ctx)
	if err != nil {
		return nil, err
	}
	var all []*key
	for _, c := range cards {
		if keys, err := c.keys(ctx); err == nil {
			all = append(all, keys...)
		}
	}
	return all, ctx.Err()
}
